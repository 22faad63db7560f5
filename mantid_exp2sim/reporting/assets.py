"""Style and script of a report's page; both stand in the page, which asks for nothing from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #888; --accent: #2a6fb0;
  --good: #2c7a3f; --mid: #a06000;
  --bad: #b3261e }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 0 auto; padding: 1rem;
  overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: .5rem 0 }
h2 { font-size: 1.2rem; border-bottom: 1px solid var(--line);
  margin: 2.2rem 0 .8rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
.answer { font-size: 1.15rem; border-left: 5px solid var(--accent);
  padding: .3rem 0 .3rem .9rem; margin: 1rem 0 }
.trustworthy { border-color: var(--good) } .expert-opinion { border-color: var(--mid) }
.untrustworthy { border-color: var(--bad) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; margin-bottom: 1rem }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top }
figure { margin: 1rem 0 } figcaption, .note { color: var(--soft); font-size: .9rem }
img { max-width: 100%; height: auto; background: #fff }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 1rem }
.panels figure { margin: 0 } .panels h3 { margin: 0 } .panels canvas { width: 100%; display: block }
.controls { display: grid; gap: .5rem; margin: .5rem 0 1rem }
.controls label { display: grid; gap: .2rem }
input[type=range] { width: 100% }
pre { white-space: pre-wrap; font-size: .8rem } summary { cursor: pointer }
.meter { display: inline-block; width: 8rem; max-width: 40vw; height: .7em; background: #8883;
  margin-right: .5rem }
.meter span { display: block; height: 100%; background: var(--accent) }
"""

SCRIPT = r"""
"use strict";
(() => {
const source = document.getElementById("volumes");
if (!source) return;
const { volumes, colours } = JSON.parse(source.textContent);
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const tables = Object.fromEntries(Object.entries(colours).map(([name, text]) => [name, bytes(text)]));
for (const v of volumes) for (const part of v.parts) part.bytes = bytes(part.data);
const root = document.getElementById("panels");
const picker = document.getElementById("volume"), slider = document.getElementById("slice");
const output = document.getElementById("slice-words");
const number = value => {
  const text = Number(value.toPrecision(3));
  return (Math.abs(text) < 1e-12 ? 0 : text).toString().replace("-", "\u2212");
};
const canvases = volumes[0].parts.map(part => {
  const figure = document.createElement("figure"), title = document.createElement("h3");
  const canvas = document.createElement("canvas");
  title.textContent = part.name;
  canvas.setAttribute("role", "img");
  figure.append(title, canvas);
  root.append(figure);
  return canvas;
});
function image(v, part, z) {
  const [nx, ny] = v.shape, small = document.createElement("canvas");
  small.width = nx; small.height = ny;
  const context = small.getContext("2d"), pixels = context.createImageData(nx, ny);
  const table = tables[part.colours], start = z * nx * ny;
  for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
    const step = part.bytes[start + j * nx + i], at = 4 * ((ny - 1 - j) * nx + i);
    for (let c = 0; c < 3; c++) pixels.data[at + c] = step === 255 ? 184 : table[3 * step + c];
    pixels.data[at + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return small;
}
function draw(canvas, v, part, z) {
  const width = canvas.clientWidth || 300, dense = window.devicePixelRatio || 1;
  const left = 52, right = 62, top = 8, bottom = 40, room = width - left - right;
  const spanX = v.x.high - v.x.low, spanY = v.y.high - v.y.low;
  let w = room, h = 0.8 * room, shift = 0;
  if (v.ratio !== null) {
    const sine = Math.sqrt(1 - v.cosine * v.cosine), lean = v.ratio * v.cosine * spanY;
    const unit = Math.min(room / (spanX + Math.abs(lean)), 1.3 * room / (v.ratio * sine * spanY));
    w = unit * spanX; h = unit * v.ratio * sine * spanY; shift = unit * lean;
  }
  canvas.width = width * dense; canvas.height = (h + top + bottom) * dense;
  canvas.style.height = (h + top + bottom) + "px";
  const c = canvas.getContext("2d"), ink = getComputedStyle(document.body).color;
  c.scale(dense, dense);
  c.imageSmoothingEnabled = false;
  const x0 = left + Math.max(0, -shift), y0 = top + h, small = image(v, part, z);
  c.save();
  c.transform(w / small.width, 0, -shift / small.height, h / small.height, x0 + shift, top);
  c.drawImage(small, 0, 0);
  c.restore();
  c.strokeStyle = c.fillStyle = ink;
  c.beginPath();
  c.moveTo(x0, y0); c.lineTo(x0 + w, y0); c.lineTo(x0 + w + shift, top); c.lineTo(x0 + shift, top);
  c.closePath();
  c.stroke();
  c.font = "12px system-ui, sans-serif";
  c.textAlign = "center"; c.textBaseline = "top";
  for (const f of [0, 0.5, 1]) c.fillText(number(v.x.low + f * spanX), x0 + f * w, y0 + 4);
  c.fillText(v.x.label, x0 + w / 2, y0 + 20);
  c.textAlign = "right"; c.textBaseline = "middle";
  for (const f of [0, 0.5, 1]) c.fillText(number(v.y.low + f * spanY), x0 + f * shift - 5, y0 - f * h);
  c.save();
  c.translate(10, top + h / 2); c.rotate(-Math.PI / 2); c.textAlign = "center"; c.fillText(v.y.label, 0, 0);
  c.restore();
  const table = tables[part.colours], bar = width - right + 12;
  for (let i = 0; i < h; i++) {
    const step = Math.round(254 * (1 - i / h));
    c.fillStyle = `rgb(${table[3 * step]},${table[3 * step + 1]},${table[3 * step + 2]})`;
    c.fillRect(bar, top + i, 10, 1.5);
  }
  c.fillStyle = ink; c.textAlign = "left";
  for (const f of [0, 0.5, 1]) {
    const at = Math.min(Math.max(y0 - f * h, top + 5), y0 - 5);
    c.fillText(number(part.low + f * (part.high - part.low)), bar + 14, at);
  }
  canvas.setAttribute("aria-label", `${part.name} ${v.title} ${v.along} ${v.slices[z]}`);
}
function show() {
  const v = volumes[picker ? Number(picker.value) : 0];
  if (slider) {
    slider.max = v.shape[2] - 1;
    output.textContent = v.slices[Number(slider.value)];
  }
  const z = slider ? Number(slider.value) : 0;
  v.parts.forEach((part, place) => draw(canvases[place], v, part, z));
}
for (const control of [picker, slider]) if (control) control.addEventListener("input", show);
window.addEventListener("resize", show);
show();
})();
"""
