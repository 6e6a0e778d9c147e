"""The ways in which the peer does a job: [(name, options of peer.py)], Captum's default first."""

LAYOUTS = ("contiguous", "channels_last")


def variants(job, arch, precision, device, n, windows):
    """n: pictures; windows: of an occlusion, so that batches can divide it and a compiled network sees one shape."""
    by_hand = arch.startswith("res") or arch.startswith("wide_res")  # hand_jobs.py knows the ResNets
    cuda = device == "cuda"
    found = []

    def add(api, layout, rows=None, *flags):
        words = [{"captum": "Captum", "hand": "by hand"}[api], layout] + [f.removeprefix("--") for f in flags]
        if rows is not None: words.append(f"batch {rows}" if rows else "batch all")
        found.append((", ".join(words), ["--api", api, "--layout", layout, *flags] + (["--rows", str(rows)] if rows else [])))

    if job == "ig":
        tuned = (25, 50, 100) if cuda else (10, 25) if n == 1 else (8, 24)
        add("captum", "contiguous", 0)
        for rows in tuned: add("captum", "channels_last", rows)
        if not cuda: add("captum", "contiguous", tuned[0]), add("captum", "channels_last", 5 if n == 1 else n)
        if precision in ("bf16", "f16"): add("captum", "channels_last", tuned[0], "--autocast")
        add("captum", "channels_last", tuned[0], "--compile")
        if by_hand:
            for rows in tuned if cuda else (5 if n == 1 else n, *tuned): add("hand", "channels_last", rows)
            for rows in tuned[:2]: add("hand", "channels_last", rows, "--compile")
            if cuda:
                for rows in tuned: add("hand", "channels_last", rows, "--graph")
                add("hand", "channels_last", tuned[1], "--compile", "--graph")
    elif job == "occlusion":
        tuned = [b for b in ((49, 98, 196, 392) if cuda else (8, 16, 28))]
        if windows % 13 == 0: tuned = [13, 26, 52, 169] if cuda else [13, 26]
        add("captum", "contiguous", 1)
        for rows in tuned: add("captum", "channels_last", max(rows, n))
        if precision in ("bf16", "f16"): add("captum", "channels_last", max(tuned[1], n), "--autocast")
        add("captum", "channels_last", max(tuned[1], n), "--compile")
        if by_hand:
            for rows in tuned[-2:]: add("hand", "channels_last", rows)
            for rows in tuned[-2:]: add("hand", "channels_last", rows, "--compile")
            if cuda: add("hand", "channels_last", tuned[-1], "--graph"), add("hand", "channels_last", tuned[-1], "--compile", "--graph")
    else:
        for layout in LAYOUTS: add("captum", layout)
        if job != "gradcam": add("captum", "channels_last", None, "--compile")  # Grad-CAM's hooks do not see inside a compiled network
        if precision in ("bf16", "f16"): add("captum", "channels_last", None, "--autocast")
        if by_hand:
            add("hand", "channels_last"), add("hand", "channels_last", None, "--compile")
            if cuda: add("hand", "channels_last", None, "--graph"), add("hand", "channels_last", None, "--compile", "--graph")
    return found
