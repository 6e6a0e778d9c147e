"""Guided backpropagation and deconvolution by hand, for ReLU and ReLU6, without hooks.

Captum's GuidedBackprop and Deconvolution hook nn.ReLU modules and pass over ReLU6. Here every activation module is replaced by one
whose autograd function carries the rule, so each *use* of a module has its own backward node:
    guided         dx = max(dy, 0) where the activation lets through (0 < x, and x < 6 for ReLU6), else 0
    deconvolution  dx = max(dy, 0)
What make_references.py finds (and asserts): on torchvision's ResNet-18, whose blocks use one ReLU module twice, Captum's hooks
agree with this to the last bits, in place or not.
"""
import torch
from torch import nn


class _Rule(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, top, rule):
        ctx.save_for_backward((x > 0) & (x < top))
        ctx.rule = rule
        return x.clamp(min=0) if top == float("inf") else x.clamp(0, top)

    @staticmethod
    def backward(ctx, dy):
        (passes,) = ctx.saved_tensors
        dx = dy.clamp(min=0)
        return (dx * passes if ctx.rule == "guided" else dx), None, None


class _Activation(nn.Module):
    def __init__(self, top, rule):
        super().__init__()
        self.top, self.rule = top, rule

    def forward(self, x): return _Rule.apply(x, self.top, self.rule)


def with_rule(model, rule):
    """Replaces, in `model` itself, every ReLU and ReLU6 (a module that is used twice stays one module)."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU6): setattr(parent, name, _Activation(6.0, rule))
            elif isinstance(child, nn.ReLU): setattr(parent, name, _Activation(float("inf"), rule))
    return model


def input_gradient(model, x, target):
    x = x.clone().requires_grad_()
    picked = model(x).gather(1, torch.as_tensor(target).reshape(-1, 1).expand(len(x), 1))
    return torch.autograd.grad(picked.sum(), x)[0]
