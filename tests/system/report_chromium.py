#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A report in a real browser: nothing missing, nothing fetched, nothing too wide, all text readable.

For each stored case the page is made, opened in headless Chromium at 390 and 1400 pixels, in light
and in dark, with a script added that measures the page and writes what it found into its title.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ["FEEDRATE_SOURCE"]
MAKE = os.path.join(os.environ["FEEDRATE_BUILD"], "tests", "report_make")
CASES = os.path.join(SOURCE, "tests", "golden", "report")
CONTRAST = 4.5

# Contrast by WCAG 2: of each text node against the nearest background that is not transparent. Text
# inside bars of pictures lies on shapes, which this cannot see, so it is compared with the shape below.
PROBE = r"""
<script>
const found = [];
addEventListener('error', e => found.push('error: ' + e.message));
function rgb(s) { const m = s.match(/[\d.]+/g).map(Number); return m.length > 3 && !m[3] ? null : m; }
function light(c) { return c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
	.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0); }
function contrast(a, b) { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); }
function under(e, box) {
	const x = box.x + box.width / 2, y = box.y + box.height / 2;
	for (const s of e.closest('svg') ? [...e.closest('svg').querySelectorAll('polygon, rect')].reverse() : []) {
		const b = s.getBoundingClientRect(), fill = rgb(getComputedStyle(s).fill === 'none' ? 'rgba(0,0,0,0)' : getComputedStyle(s).fill);
		if (fill && b.left <= x && x <= b.right && b.top <= y && y <= b.bottom) return fill;
	}
	for (let p = e; p; p = p.parentElement) { const c = rgb(getComputedStyle(p).backgroundColor); if (c) return c; }
	return [255, 255, 255];
}
function measure() {
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) found.push('scrolls sideways: ' + root.scrollWidth + ' > ' + root.clientWidth);
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	let texts = 0;
	for (let n; n = walk.nextNode();) {
		const e = n.parentElement, range = document.createRange();
		range.selectNodeContents(n);
		const box = range.getBoundingClientRect();
		if (!n.data.trim() || e.closest('script') || !box.width || !box.height) continue;
		const style = getComputedStyle(e), color = rgb(e.closest('svg') ? style.fill : style.color);
		const c = color && contrast(color, under(e, box));
		texts++;
		if (!(c >= LIMIT)) found.push('contrast ' + (c && c.toFixed(2)) + ': ' + n.data.trim().slice(0, 40));
		if (box.right > root.clientWidth + 1 && !e.closest('.scroll')) found.push('cut off: ' + n.data.trim().slice(0, 40));
	}
	const pictures = [...document.querySelectorAll('.picture')];
	for (const p of pictures) {
		const seen = [...p.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height > 100);
		if (seen.length != 1) found.push('a picture shows ' + seen.length + ' drawings');
		if (!(p.getAttribute('aria-label') || '').length) found.push('a picture without alt text');
	}
	const levels = [...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1]);
	if (levels[0] != 1 || levels.some((l, i) => i && l > levels[i - 1] + 1)) found.push('headings skip a level');
	for (const r of performance.getEntriesByType('resource')) found.push('fetched ' + r.name);
	document.title = 'PROBE' + JSON.stringify({width: root.clientWidth, dark: matchMedia('(prefers-color-scheme:dark)').matches,
		texts, pictures: pictures.length, found});
}
addEventListener('load', measure);
</script>
"""


def browser():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    print("SKIP: no Chromium; apt-get install chromium")
    sys.exit(77)


def open_page(program, page, width, dark):
    """What the probe found, and console errors. A narrow window needs a frame: Chromium's own have a
    least width of 500 pixels."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                   "--disable-background-networking", "--hide-scrollbars", "--disable-component-update", "--disable-sync",
                   "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=4000",
                   f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                   f"--user-data-dir={profile}", "--window-size=1500,1000", "--dump-dom"]
        frame = os.path.join(os.path.dirname(page), f"frame-{width}-{dark}.html")
        with open(frame, "w", encoding="utf-8") as file:
            file.write(f"""<!DOCTYPE html><meta name="color-scheme" content="light dark"><title>none</title>
<iframe src="{os.path.basename(page)}" style="width:{width}px;height:900px;border:0"
onload="setTimeout(() => document.title = frames[0].document.title, 200)"></iframe>""")
        done = subprocess.run(command + ["file://" + frame], capture_output=True, timeout=120)
    title = re.search(r"<title>PROBE(.*?)</title>", done.stdout.decode(), re.S)
    console = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    if not title:
        return {"found": ["the probe did not run"] + console}
    result = json.loads(title.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    result["found"] += console
    return result


def main():
    program, bad = browser(), 0
    with tempfile.TemporaryDirectory() as work:
        for case in ("quick", "broken"):
            folder = os.path.join(work, case)
            shutil.copytree(os.path.join(CASES, case), folder)
            subprocess.run([MAKE, folder], check=True, capture_output=True, timeout=150)
            with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
                page = file.read()
            page = page.replace("</head>", PROBE.replace("LIMIT", str(CONTRAST)) + "</head>")
            with open(os.path.join(folder, "probed.html"), "w", encoding="utf-8") as file:
                file.write(page)
            for width in (390, 1400):
                for dark in (False, True):
                    result = open_page(program, os.path.join(folder, "probed.html"), width, dark)
                    if result.get("width") != width or result.get("dark") != dark:
                        result["found"].append(f"opened at {result.get('width')}, dark {result.get('dark')}")
                    if shutil.which("gnuplot") and result.get("pictures") != 2:
                        result["found"].append(f"{result.get('pictures')} pictures")
                    print(f"{case} {width} {'dark' if dark else 'light'}: {result.get('texts')} texts,",
                          "; ".join(result["found"]) or "fine")
                    bad += bool(result["found"])
    return 1 if bad else 0


sys.exit(main())
