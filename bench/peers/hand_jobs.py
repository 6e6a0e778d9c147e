"""The jobs written by hand in PyTorch, without Captum, with the shortcuts that can be written there: batch norms folded; no gradient of a weight; integrated
gradients from conv1's output on (the points of a path are formed behind it, the weighted gradients summed before one transposed convolution); Grad-CAM in closed
form; occlusion in one preallocated batch. ResNets only. Each builder returns a function without arguments; `compiled` may wrap what runs in its loop."""
import math

import numpy as np, torch
import torch.nn.functional as F

from networks import resnet_features, resnet_logits


def gradient_of(score, compiled):
    """score(z, index, weights) -> its gradient by z. Compiled: as one graph without autograd at run time, so that inductor may freeze the weights."""
    if compiled: return compiled(torch.func.grad(score))

    def eager(z, index, weights):
        z = z.detach().requires_grad_()
        return torch.autograd.grad(score(z, index, weights), z)[0]
    return eager


def integrated_gradients(a, model, x, targets, compiled):
    n, per_pass = len(x), max(1, (a.rows or a.steps) // len(x))
    nodes, weights = np.polynomial.legendre.leggauss(a.steps)
    alphas = torch.tensor((1 + nodes) / 2, dtype=x.dtype, device=x.device)
    weights = torch.tensor(weights / 2, dtype=torch.float32, device=x.device)
    conv = model.conv1
    w, b = conv.weight.float(), conv.bias.float()
    x, baseline = x.float(), torch.zeros_like(x, dtype=torch.float32)
    dtype = conv.weight.dtype

    def score(z, index, weight): return (resnet_logits(model, resnet_features(model, z)).float().gather(1, index)[:, 0] * weight).sum()
    step = gradient_of(score, compiled)
    chunks = [(i, min(i + per_pass, a.steps)) for i in range(0, a.steps, per_pass)]
    # rows: sample-major
    indices = [targets.repeat_interleave(j - i)[:, None] for i, j in chunks]
    scales = [weights[i:j].repeat(n) for i, j in chunks]

    def run():
        c0, c1 = F.conv2d(torch.cat([baseline, x - baseline]), w, None, conv.stride, conv.padding).to(dtype).split(n)
        c0 = (c0 + b.to(dtype)[:, None, None])[:, None]
        c1, total = c1[:, None], 0
        for (i, j), index, scale in zip(chunks, indices, scales):
            z = torch.addcmul(c0, c1, alphas[i:j, None, None, None]).flatten(0, 1)
            g = step(z.contiguous(memory_format=torch.channels_last) if a.layout == "channels_last" else z, index, scale)
            total = total + g.unflatten(0, (n, j - i)).sum(1, dtype=torch.float32)
        return (x - baseline) * torch.nn.grad.conv2d_input(x.shape, w, total, conv.stride, conv.padding)
    return run


def occlusion(a, model, x, targets, compiled):
    """Baseline 0; a pixel's value is the mean drop over the windows that cover it, as in Captum."""
    side, per_pass = x.shape[-2:], a.rows or 16
    spans = [[(i * a.stride, min(i * a.stride + a.window, s)) for i in range(1 + math.ceil((s - a.window) / a.stride))] for s in side]
    windows = [(y0, y1, x0, x1) for y0, y1 in spans[0] for x0, x1 in spans[1]]
    forward = compiled(model) if compiled else model
    layout = torch.channels_last if a.layout == "channels_last" else torch.contiguous_format
    batch = torch.empty((per_pass, *x.shape[1:]), dtype=x.dtype, device=x.device, memory_format=layout)
    count = torch.zeros(side, dtype=torch.float32, device=x.device)
    for y0, y1, x0, x1 in windows: count[y0:y1, x0:x1] += 1

    def run():
        with torch.no_grad():
            result = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
            for k, picture in enumerate(x):
                batch.copy_(picture)
                base, done = forward(batch)[:1, targets[k]].float(), []
                for first in range(0, len(windows), per_pass):
                    for row, (y0, y1, x0, x1) in zip(batch, done): row[:, y0:y1, x0:x1] = picture[:, y0:y1, x0:x1]
                    done = windows[first : first + per_pass]
                    for row, (y0, y1, x0, x1) in zip(batch, done): row[:, y0:y1, x0:x1] = 0
                    drops = base - forward(batch)[:, targets[k]].float()  # the last pass may have rows of no use: one shape for all
                    for drop, (y0, y1, x0, x1) in zip(drops, done): result[k, :, y0:y1, x0:x1] += drop
            return result / count
    return run


def gradcam(a, model, x, targets, compiled):
    """On layer4 the gradient of a class logit is fc.weight[class] / (h w) everywhere: no backward pass (Selvaraju et al. 2017, section 3: CAM is a special case)."""
    def cam(x):
        features = resnet_features(model, model.conv1(x))
        return (features.float() * (model.fc.weight[targets].float() / features[0, 0].numel())[:, :, None, None]).sum(1, keepdim=True)
    f = compiled(cam) if compiled else cam

    def run():
        with torch.no_grad(): return f(x)
    return run


def saliency(a, model, x, targets, compiled):
    def score(x, index, weight): return (model(x).float().gather(1, index)[:, 0] * weight).sum()
    step, index, ones = gradient_of(score, compiled), targets[:, None], torch.ones(len(x), device=x.device)
    return lambda: step(x, index, ones).abs()


def classify(a, model, x, targets, compiled):
    f = compiled(model) if compiled else model

    def run():
        with torch.no_grad(): return f(x)
    return run


BUILDERS = {"ig": integrated_gradients, "occlusion": occlusion, "gradcam": gradcam, "saliency": saliency, "classify": classify}
