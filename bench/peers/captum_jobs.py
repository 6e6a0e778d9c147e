"""The jobs as a user of Captum writes them. Each builder returns a function without arguments that returns the result."""
import captum.attr as ca, torch

LATE = {"efficientnet_lite0": lambda m: m.blocks[6]}


def build(a, model, x, targets):
    """a: peer.py's options (job, steps, window, stride, rows: samples per pass, 0 for Captum's default, arch)."""
    target = targets[0].item() if len(targets) == 1 else targets
    if a.job == "ig":
        return lambda: ca.IntegratedGradients(model).attribute(x, target=target, n_steps=a.steps, internal_batch_size=a.rows or None)
    if a.job == "occlusion":
        window, stride, per_pass = (3, a.window, a.window), (3, a.stride, a.stride), max(1, a.rows // len(x))
        return lambda: ca.Occlusion(model).attribute(x, target=target, sliding_window_shapes=window, strides=stride, perturbations_per_eval=per_pass)
    if a.job == "gradcam":
        cam = ca.LayerGradCam(model, LATE.get(a.arch, lambda m: m.layer4)(model))
        return lambda: cam.attribute(x, target=target)
    if a.job == "saliency": return lambda: ca.Saliency(model).attribute(x, target=target)

    def classify():
        with torch.no_grad(): return model(x)
    return classify
