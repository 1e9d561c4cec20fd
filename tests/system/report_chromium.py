#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A report in a real browser: nothing missing, nothing too wide, all text readable.

Each stored case is made into a page and opened in headless Chromium at 390 and 1400 pixels, in light
and in dark, with a script added that measures the page and tells what it found. The pages stand in
frames of one document, because Chromium's own windows are at least 500 pixels wide.
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
	parent.postMessage({of: location.search, width: root.clientWidth, texts, pictures: pictures.length, found,
		dark: matchMedia('(prefers-color-scheme:dark)').matches}, '*');
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


CASES_AND_PICTURES = {"quick": 2, "broken": 2, "alone": 0}
WIDTHS = (390, 1400)


def make_pages(work):
    for case in CASES_AND_PICTURES:
        folder = os.path.join(work, case)
        shutil.copytree(os.path.join(CASES, case), folder)
        subprocess.run([MAKE, folder], check=True, capture_output=True, timeout=150)
        with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
            page = file.read()
        with open(os.path.join(folder, "probed.html"), "w", encoding="utf-8") as file:
            file.write(page.replace("</head>", PROBE.replace("LIMIT", str(CONTRAST)) + "</head>"))
    frames = [f'<iframe src="{case}/probed.html?{case}-{width}" style="width:{width}px;height:900px;border:0"></iframe>'
              for case in CASES_AND_PICTURES for width in WIDTHS]
    with open(os.path.join(work, "all.html"), "w", encoding="utf-8") as file:
        file.write("""<!DOCTYPE html><meta name="color-scheme" content="light dark"><title>none</title><script>
const all = {};
addEventListener('message', e => { all[e.data.of.slice(1)] = e.data; document.title = 'PROBE' + JSON.stringify(all); });
</script>""" + "\n".join(frames))


def open_pages(program, work, dark):
    """What the probe found on each page, and console errors."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                   "--disable-background-networking", "--hide-scrollbars", "--disable-component-update", "--disable-sync",
                   "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=8000",
                   f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                   f"--user-data-dir={profile}", "--window-size=1500,1000", "--dump-dom", f"file://{work}/all.html"]
        done = subprocess.run(command, capture_output=True, timeout=120)
    title = re.search(r"<title>PROBE(.*?)</title>", done.stdout.decode(), re.S)
    found = json.loads(title.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")) if title else {}
    return found, [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]


def faults(result, width, dark, pictures):
    if not result:
        return ["the probe did not run"]
    found = result["found"]
    if result["width"] != width or result["dark"] != dark:
        found.append(f"opened at {result['width']}, dark {result['dark']}")
    if shutil.which("gnuplot") and result["pictures"] != pictures:
        found.append(f"{result['pictures']} pictures")
    return found


def main():
    program, bad = browser(), 0
    with tempfile.TemporaryDirectory() as work:
        make_pages(work)
        for dark in (False, True):
            results, console = open_pages(program, work, dark)
            bad += len(console)
            print("".join(line + "\n" for line in console), end="")
            for case, pictures in CASES_AND_PICTURES.items():
                for width in WIDTHS:
                    result = results.get(f"{case}-{width}", {})
                    found = faults(result, width, dark, pictures)
                    print(f"{case} {width} {'dark' if dark else 'light'}: {result.get('texts')} texts,", "; ".join(found) or "fine")
                    bad += bool(found)
    return 1 if bad else 0


sys.exit(main())
