// Points in the plane, many of them: drawn by WebGL, else into a bitmap; moved, enlarged, found under a finger or within a line.
// Never here: what the points are, where their colours come from.

/** What a point looks like: its shape, 0 to 3, and these together in one number. */
export const OUTLINED = 4;
export const DIM = 8;

const WHOLE = 65_535;
const packed = (r, g, b) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
const BUCKETS = 256;
const MOST_SCALE = 400_000;

const VERTEX = `
attribute vec2 at; attribute vec4 colour; attribute float look;
uniform vec2 scale, offset; uniform float size, pass;
varying vec4 ink; varying float shape, outlined;
void main() {
  shape = mod(look, 4.0); outlined = mod(floor(look / 4.0), 2.0);
  ink = vec4(colour.rgb, mod(floor(look / 8.0), 2.0) > 0.5 ? 0.12 : 1.0);
  gl_Position = abs(outlined - pass) > 0.5 ? vec4(2.0, 2.0, 2.0, 1.0) : vec4(at * scale + offset, 0.0, 1.0);
  gl_PointSize = size * (outlined > 0.5 ? 1.7 : 1.0);
}`;
const FRAGMENT = `
precision mediump float;
uniform vec3 edge;
varying vec4 ink; varying float shape, outlined;
void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  float d = shape < 0.5 ? length(p) : shape < 1.5 ? max(abs(p.x), abs(p.y)) * 1.18
    : shape < 2.5 ? max(abs(p.x) * 1.15 + p.y * -0.58 + 0.2, p.y * 1.1 + 0.1) : abs(p.x) + abs(p.y);
  if (d > 1.0) discard;
  gl_FragColor = vec4(outlined > 0.5 && d > 0.62 ? edge : ink.rgb, ink.a);
}`;

/** The shapes in the bitmap, each as how far every row of pixels reaches from its middle. */
function stamps(half) {
  const rows = (reach) => Array.from({ length: 2 * half + 1 }, (_, row) => Math.max(0, Math.round(reach(row - half))));
  return [
    rows((y) => Math.sqrt(half * half + half - y * y)),
    rows(() => half * 0.9),
    rows((y) => (y + half) / 2),
    rows((y) => half - Math.abs(y)),
  ];
}

/** Is there a graphics card? WebGL by the processor is slower than the bitmap. */
function hasCard() {
  const gl = document.createElement('canvas').getContext('webgl', { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  const name = gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

export class Plot {
  /** `changed` is called when what is in sight has moved. */
  constructor(canvas, changed = () => {}) {
    this.canvas = canvas;
    this.changed = changed;
    this.n = 0;
    this.view = { x: 0.5, y: 0.5, scale: 500 };
    this.edge = [0, 0, 0];
    this.ground = [255, 255, 255];
    this.gl = hasCard() ? canvas.getContext('webgl', { antialias: false, alpha: false }) : null;
    if (this.gl) {
      canvas.addEventListener('webglcontextlost', (event) => event.preventDefault());
      canvas.addEventListener('webglcontextrestored', () => {
        this.begin();
        this.upload();
        this.draw();
      });
      this.begin();
    } else this.flat = canvas.getContext('2d', { alpha: false });
    new ResizeObserver(() => this.measure()).observe(canvas);
  }

  begin() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.uniforms = Object.fromEntries(
      ['scale', 'offset', 'size', 'pass', 'edge'].map((name) => [name, gl.getUniformLocation(program, name)]),
    );
    const attribute = (name, size, type, normal) => {
      const buffer = gl.createBuffer();
      const place = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, type, normal, 0, 0);
      return buffer;
    };
    this.buffers = {
      at: attribute('at', 2, gl.UNSIGNED_SHORT, true),
      colour: attribute('colour', 4, gl.UNSIGNED_BYTE, true),
      look: attribute('look', 1, gl.UNSIGNED_BYTE, false),
    };
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  }

  fill(name, values) {
    const { gl } = this;
    if (!gl) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  }

  upload() {
    if (this.at) this.fill('at', this.at);
    if (this.colours) this.fill('colour', this.colours);
    if (this.looks) this.fill('look', this.looks);
  }

  /** Takes over the places: x and y of each, 0 to 65,535. */
  place(at) {
    this.at = at;
    this.n = at.length / 2;
    this.colours = new Uint8Array(this.n * 4);
    this.looks = new Uint8Array(this.n);
    // Which points lie in which square of a grid: where each begins, and the points of all, square by square.
    this.starts = new Uint32Array(BUCKETS * BUCKETS + 1);
    const square = (i) => (at[2 * i + 1] >> 8) * BUCKETS + (at[2 * i] >> 8);
    for (let i = 0; i < this.n; i += 1) this.starts[square(i) + 1] += 1;
    for (let i = 0; i < BUCKETS * BUCKETS; i += 1) this.starts[i + 1] += this.starts[i];
    const next = this.starts.slice();
    this.sorted = new Uint32Array(this.n);
    for (let i = 0; i < this.n; i += 1) {
      this.sorted[next[square(i)]] = i;
      next[square(i)] += 1;
    }
    this.upload();
    this.fit();
  }

  /** Shows the colours and looks that were written into `colours` and `looks`. */
  paint() {
    if (this.gl) {
      this.fill('colour', this.colours);
      this.fill('look', this.looks);
    } else this.mix();
    this.shot = null;
    this.draw();
  }

  /** For the bitmap: the colour of each point as one number, and which points have an edge. */
  mix() {
    const { colours, looks, ground, n } = this;
    this.inks = new Uint32Array(n);
    const all = [[], []];
    for (let i = 0; i < n; i += 1) {
      const dim = looks[i] & DIM;
      const part = (c) => (dim ? (colours[4 * i + c] + 7 * ground[c]) >> 3 : colours[4 * i + c]);
      this.inks[i] = packed(part(0), part(1), part(2));
      all[looks[i] & OUTLINED ? 1 : 0].push(i);
    }
    this.layers = all.map((points) => Uint32Array.from(points));
  }

  measure() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (width === 0 || height === 0) return;
    const first = !this.width;
    Object.assign(this, { width, height, ratio, shot: null });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (first) this.fit();
    // At once: a canvas of another size is empty.
    else this.render();
  }

  fit() {
    if (this.width) this.look({ x: 0.5, y: 0.5, scale: 0.94 * Math.min(this.width, this.height) });
  }

  look(view) {
    this.view = {
      x: Math.max(-0.2, Math.min(1.2, view.x)),
      y: Math.max(-0.2, Math.min(1.2, view.y)),
      scale: Math.max(80, Math.min(MOST_SCALE, view.scale)),
    };
    this.draw();
    this.changed();
  }

  pan(dx, dy) {
    const { x, y, scale } = this.view;
    this.look({ x: x - dx / scale, y: y - dy / scale, scale });
  }

  /** Enlarges; what lies at this place of the canvas stays there. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const before = this.unit(px, py);
    const scale = Math.max(80, Math.min(MOST_SCALE, this.view.scale * factor));
    this.look({
      x: before.x - (px - this.width / 2) / scale,
      y: before.y - (py - this.height / 2) / scale,
      scale,
    });
  }

  /** From the canvas to the square of the points, whose sides are 1, and back. */
  unit(px, py) {
    const { x, y, scale } = this.view;
    return { x: x + (px - this.width / 2) / scale, y: y + (py - this.height / 2) / scale };
  }
  pixel(ux, uy) {
    const { x, y, scale } = this.view;
    return { x: (ux - x) * scale + this.width / 2, y: (uy - y) * scale + this.height / 2 };
  }
  where(point) {
    return this.pixel(this.at[2 * point] / WHOLE, this.at[2 * point + 1] / WHOLE);
  }

  /** Diameter of a point: larger where there is room for it. */
  get size() {
    const room = this.view.scale / Math.sqrt(Math.max(1, this.n));
    return Math.max(2.5, Math.min(11, room * 0.45)) * this.ratio;
  }

  draw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => this.render());
  }

  render() {
    this.drawing = false;
    if (!this.width) return;
    this.frames = (this.frames ?? 0) + 1;
    if (this.gl) this.renderGl();
    else this.renderFlat(performance.now());
  }

  renderGl() {
    const { gl, uniforms, canvas, view, ground } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(ground[0] / 255, ground[1] / 255, ground[2] / 255, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (this.n === 0) return;
    const [sx, sy] = [(2 * view.scale) / this.width, (-2 * view.scale) / this.height];
    gl.uniform2f(uniforms.scale, sx, sy);
    gl.uniform2f(uniforms.offset, -view.x * sx, -view.y * sy);
    gl.uniform1f(uniforms.size, this.size);
    gl.uniform3f(uniforms.edge, ...this.edge.map((value) => value / 255));
    // What is labelled lies on top.
    for (const pass of [0, 1]) {
      gl.uniform1f(uniforms.pass, pass);
      gl.drawArrays(gl.POINTS, 0, this.n);
    }
  }

  /** Without a graphics card: what was drawn last, moved and enlarged, while drawing all would hold up the hand; then all. */
  renderFlat(now) {
    const { canvas, flat, view, ratio, shot } = this;
    if (shot && now < shot.until) {
      const grown = view.scale / shot.view.scale;
      const [dx, dy] = ['x', 'y'].map((axis) => (shot.view[axis] - view[axis]) * view.scale * ratio);
      flat.fillStyle = `rgb(${this.ground.join(' ')})`;
      flat.fillRect(0, 0, canvas.width, canvas.height);
      const [width, height] = [canvas.width * grown, canvas.height * grown];
      flat.drawImage(shot.canvas, (canvas.width - width) / 2 + dx, (canvas.height - height) / 2 + dy, width, height);
      clearTimeout(this.settling);
      this.settling = setTimeout(() => {
        shot.until = 0;
        this.draw();
      }, 80);
      return;
    }
    this.drawAll();
    const took = performance.now() - now;
    if (took < 10) {
      this.shot = null;
      return;
    }
    const copy = shot?.canvas ?? document.createElement('canvas');
    [copy.width, copy.height] = [canvas.width, canvas.height];
    copy.getContext('2d', { alpha: false }).drawImage(canvas, 0, 0);
    this.shot = { canvas: copy, view: { ...view }, until: performance.now() + 8 * took };
  }

  drawAll() {
    const { canvas, at, looks, ratio } = this;
    const { width, height } = canvas;
    if (this.bitmap?.width !== width || this.bitmap?.height !== height) this.bitmap = this.flat.createImageData(width, height);
    const out = new Uint32Array(this.bitmap.data.buffer);
    out.fill(packed(...this.ground));
    const edge = packed(...this.edge);
    const side = Math.max(2, Math.round(this.size * 0.8));
    const scale = (this.view.scale * ratio) / WHOLE;
    const left = width / 2 - this.view.x * this.view.scale * ratio;
    const top = height / 2 - this.view.y * this.view.scale * ratio;
    const stamp = (x, y, rows, ink) => {
      const top = y - (rows.length >> 1);
      for (let row = Math.max(0, -top); row < rows.length && top + row < height; row += 1) {
        const reach = rows[row];
        const to = Math.min(width, x + reach + 1);
        const start = (top + row) * width;
        for (let u = Math.max(0, x - reach); u < to; u += 1) out[start + u] = ink;
      }
    };
    // Where points are this small no shape is told from another.
    const square = (x, y, half, ink) => {
      const [from, to] = [Math.max(0, x - half), Math.min(width, x + half)];
      for (let v = Math.max(0, y - half); v < y + half && v < height; v += 1)
        for (let u = v * width + from; u < v * width + to; u += 1) out[u] = ink;
    };
    for (const [layer, points] of (this.layers ?? []).entries()) {
      const half = (layer === 1 ? side + 4 : side) >> 1;
      const [outer, inner] = [stamps(half), stamps(half - 2)];
      for (const i of points) {
        const x = (at[2 * i] * scale + left + 0.5) | 0;
        const y = (at[2 * i + 1] * scale + top + 0.5) | 0;
        if (x < -half || y < -half || x >= width + half || y >= height + half) continue;
        const shape = looks[i] & 3;
        if (half < 3) square(x, y, half, this.inks[i]);
        else if (layer === 0 || looks[i] & DIM) stamp(x, y, outer[shape], this.inks[i]);
        else {
          stamp(x, y, outer[shape], edge);
          stamp(x, y, inner[shape], this.inks[i]);
        }
      }
    }
    this.flat.putImageData(this.bitmap, 0, 0);
  }

  /** The point that is nearest to a place of the canvas, within `reach` pixels; -1 for none. */
  nearest(px, py, reach) {
    if (this.n === 0) return -1;
    const { x, y } = this.unit(px, py);
    const far = reach / this.view.scale;
    const bucket = (value) => Math.max(0, Math.min(BUCKETS - 1, Math.floor((value * WHOLE) / BUCKETS)));
    let best = far * far;
    let found = -1;
    for (let v = bucket(y - far); v <= bucket(y + far); v += 1)
      for (let u = bucket(x - far); u <= bucket(x + far); u += 1)
        for (let k = this.starts[v * BUCKETS + u]; k < this.starts[v * BUCKETS + u + 1]; k += 1) {
          const i = this.sorted[k];
          const distance = (this.at[2 * i] / WHOLE - x) ** 2 + (this.at[2 * i + 1] / WHOLE - y) ** 2;
          if (distance <= best) {
            best = distance;
            found = i;
          }
        }
    return found;
  }

  /** The points within a closed line of {x, y} in the square of the points. */
  within(line) {
    const [xs, ys] = [line.map(({ x }) => x * WHOLE), line.map(({ y }) => y * WHOLE)];
    const bounds = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const found = [];
    for (let i = 0; i < this.n; i += 1) {
      const [x, y] = [this.at[2 * i], this.at[2 * i + 1]];
      if (x < bounds[0] || x > bounds[1] || y < bounds[2] || y > bounds[3]) continue;
      let inside = false;
      for (let a = 0, b = xs.length - 1; a < xs.length; b = a, a += 1)
        if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) inside = !inside;
      if (inside) found.push(i);
    }
    return found;
  }
}
