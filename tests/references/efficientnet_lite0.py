"""EfficientNet-Lite0 in PyTorch, tensor names as in timm's `tf_efficientnet_lite0`."""
import torch.nn as nn, torch.nn.functional as F

STAGES = [  # repeats, kernel, stride of the first block, expansion, channels out
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]

def norm(n): return nn.BatchNorm2d(n, eps=1e-3)

class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: the output has ceil(n / stride) points, the odd pixel of padding goes to the end."""
    def forward(self, x):
        k, s = self.kernel_size[0], self.stride[0]
        v, h = (max((-(-n // s) - 1) * s + k - n, 0) for n in x.shape[-2:])
        return F.conv2d(F.pad(x, (h // 2, h - h // 2, v // 2, v - v // 2)), self.weight, None, s, 0, 1, self.groups)

def conv(i, o, k=1, s=1, groups=1): return SameConv2d(i, o, k, s, groups=groups, bias=False)

class Separable(nn.Module):
    def __init__(self, i, o, k, s):
        super().__init__()
        self.conv_dw, self.bn1, self.act1, self.conv_pw, self.bn2 = conv(i, i, k, s, i), norm(i), nn.ReLU6(), conv(i, o), norm(o)
    def forward(self, x): return self.bn2(self.conv_pw(self.act1(self.bn1(self.conv_dw(x)))))

class InvertedResidual(nn.Module):
    def __init__(self, i, o, k, s, e):
        super().__init__()
        c, self.skip = i * e, s == 1 and i == o
        self.conv_pw, self.bn1, self.act1 = conv(i, c), norm(c), nn.ReLU6()
        self.conv_dw, self.bn2, self.act2 = conv(c, c, k, s, c), norm(c), nn.ReLU6()
        self.conv_pwl, self.bn3 = conv(c, o), norm(o)
    def forward(self, x):
        y = self.act2(self.bn2(self.conv_dw(self.act1(self.bn1(self.conv_pw(x))))))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skip else y

class EfficientNetLite0(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.conv_stem, self.bn1, self.act1 = conv(3, 32, 3, 2), norm(32), nn.ReLU6()
        stages, i = [], 32
        for r, k, s, e, o in STAGES:
            stages.append(nn.Sequential(*[Separable(i, o, k, s) if e == 1 else InvertedResidual(i if n == 0 else o, o, k, s if n == 0 else 1, e) for n in range(r)]))
            i = o
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2, self.act2, self.classifier = conv(320, 1280), norm(1280), nn.ReLU6(), nn.Linear(1280, classes)
    def forward(self, x):
        x = self.blocks(self.act1(self.bn1(self.conv_stem(x))))
        return self.classifier(self.act2(self.bn2(self.conv_head(x))).mean((2, 3)))
