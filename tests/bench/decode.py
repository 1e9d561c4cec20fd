#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a synthetic picture costs to decode, beside a natural-looking one of the same pixels and bytes.

    tests/bench/decode.py [PICTURES]      default: 60; needs python3-pil and a build (FEEDRATE_BUILD)

For each picture of a synth-data set (those of 60 to 250 KB, the body of the distribution) Pillow makes a
second one of the same width and height: smooth gradients, blurred and sharp noise of several scales, saved at
quality 96 with the grain's strength chosen so that it has as many bytes within 3%. Both are decoded by
Pillow (libjpeg) in turn; printed are medians per picture and the median of the ratios.
"""
import io
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

from PIL import Image, ImageChops, ImageFilter

BUILD = os.environ.get("FEEDRATE_BUILD", os.path.join(os.path.dirname(__file__), "../../build/release"))


def natural(size, target, rng):
    """A picture of this size of about `target` bytes at quality 96, or None."""
    def noise(scale, sigma):
        small = Image.effect_noise((max(2, size[0] // scale), max(2, size[1] // scale)), sigma)
        return small.resize(size, Image.BICUBIC)
    base = Image.linear_gradient("L").rotate(rng.uniform(0, 360)).resize(size, Image.BICUBIC)
    for scale, sigma in ((64, 60), (16, 40), (4, 20)):
        base = ImageChops.add(base, noise(scale, sigma), 2)
    tints = [ImageChops.add(base, noise(32, 50), 2) for _ in range(3)]
    grain = [Image.effect_noise(size, 64).filter(ImageFilter.GaussianBlur(.4)) for _ in range(3)]
    low, high = 0., 1.
    for _ in range(12):
        share = (low + high) / 2
        image = Image.merge("RGB", [Image.blend(t, g, share) for t, g in zip(tints, grain)])
        out = io.BytesIO()
        image.save(out, "JPEG", quality=96, subsampling=0)
        if abs(out.tell() / target - 1) < .03:
            return out.getvalue()
        low, high = (share, high) if out.tell() < target else (low, share)
    return None


def cost(jpeg):
    start = time.process_time()
    Image.open(io.BytesIO(jpeg)).load()
    return time.process_time() - start


def main():
    wanted, rng, pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 60, random.Random(1), []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.path.join(BUILD, "bin", "synth-data"), folder, "--samples", str(4 * wanted), "--format", "imagefolder",
                        "--data.classes=1"], check=True)
        for name in sorted(os.listdir(os.path.join(folder, "n90000000"))):
            with open(os.path.join(folder, "n90000000", name), "rb") as file:
                jpeg = file.read()
            other = natural(Image.open(io.BytesIO(jpeg)).size, len(jpeg), rng) if 60e3 < len(jpeg) < 250e3 else None
            if other and len(pairs) < wanted:
                pairs.append((jpeg, other))
    costs = [[statistics.median(cost(jpeg) for _ in range(9)) for jpeg in pair] for pair in pairs]
    ratios = sorted(a / b for a, b in costs)
    print(f"{len(pairs)} pairs, mean {statistics.mean(len(a) for a, _ in pairs) / 1e3:.0f} kB: "
          f"synthetic {statistics.median(a for a, _ in costs) * 1e3:.2f} ms, natural-looking {statistics.median(b for _, b in costs) * 1e3:.2f} ms; "
          f"ratio {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


main()
