// The forward pass of one example, live: the reader moves the point x in the plane, and every number follows.
(() => {
  const piece = document.currentScript.closest(".forward-pass");
  const given = JSON.parse(piece.querySelector("script[type='application/json']").textContent);
  const { W1, b1, W2, b2, hidden, output, labels, low, high, digits, start, frame, colours, shades } = given;
  const [svg, region, handle, answer] = ["svg", ".region", ".handle", "output"].map((what) => piece.querySelector(what));

  // ---- the notes' equations, for columns x (2,1), z1 and a1 (n_h,1), z2 and a2 (n_y,1) ----

  const g = {
    sigmoid: (z) => 1 / (1 + Math.exp(-z)),
    tanh: (z) => Math.tanh(z),
    relu: (z) => Math.max(0, z),
    leaky_relu: (z) => (z > 0 ? z : 0.01 * z),
    identity: (z) => z,
    exp: Math.exp,
  };

  const affine = (W, v, b) => W.map((row, i) => row.reduce((sum, w, j) => sum + w * v[j], b[i][0]));

  function softmax(z) {
    const e = z.map((zk) => Math.exp(zk - Math.max(...z))); // e to the power of a large z would be infinite
    const total = e.reduce((sum, ek) => sum + ek, 0);
    return e.map((ek) => ek / total);
  }

  function forward(x) {
    const z1 = affine(W1, x, b1);
    const a1 = z1.map(g[hidden]);
    const z2 = affine(W2, a1, b2);
    const a2 = output === "softmax" ? softmax(z2) : z2.map(g[output]);
    return { x, z1, a1, z2, a2 };
  }

  // ---- what the numbers say ----

  const oneClass = output === "softmax" || (output === "sigmoid" && W2.length === 1);
  const classOf = (a2) => (output === "softmax" ? a2.indexOf(Math.max(...a2)) : Number(a2[0] > 0.5));

  function colourOf(a2) {
    if (oneClass) return colours[classOf(a2)];
    const shade = Math.round(((a2[0] - shades[0]) / (shades[1] - shades[0])) * (colours.length - 1));
    return colours[Math.min(Math.max(shade, 0), colours.length - 1)];
  }

  function sentence(a2) {
    if (output === "identity" || output === "exp") {
      return labels.map((label, k) => `${label} = ${shown(a2[k])}`).join(", ");
    }
    if (!oneClass) return labels.filter((_, k) => a2[k] > 0.5).join(", ") || "none, for no a2 is above 0.5";
    const c = classOf(a2);
    if (output === "softmax") return `${labels[c]}, for its a2 = ${shown(a2[c])} is the largest`;
    return `${labels[c]}, for a2 = ${shown(a2[0])} is ${c ? "above" : "not above"} 0.5`;
  }

  function shown(v) {
    const size = Math.abs(v);
    return size >= 1e5 || (size > 0 && size < 0.0005) ? v.toExponential(2) : v.toFixed(3);
  }

  // ---- the point ----

  const [left, top, side] = frame;
  const span = high.map((end, i) => end - low[i]);
  const written = () => point.map((v, i) => v.toFixed(digits[i]));
  let point;

  function move(x) {
    point = x.map((v, i) => Number(Math.min(Math.max(v, low[i]), high[i]).toFixed(digits[i])));
    const columns = forward(point);
    for (const [name, column] of Object.entries(columns)) {
      const cells = piece.querySelectorAll(`[data-column="${name}"] td`);
      cells.forEach((cell, row) => (cell.textContent = name === "x" ? written()[row] : shown(column[row])));
    }
    answer.textContent = sentence(columns.a2);
    const [across, up] = point.map((v, i) => (v - low[i]) / span[i]);
    handle.setAttribute("transform", `translate(${left + side * across}, ${top + side * (1 - up)})`);
    handle.setAttribute("aria-valuenow", written()[0]);
    handle.setAttribute("aria-valuetext", `x = ${written().join(", ")}: ${answer.textContent}`);
  }

  function follow(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    move([low[0] + (span[0] * (at.x - left)) / side, high[1] - (span[1] * (at.y - top)) / side]);
  }

  function moveByKey(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!ways[event.key]) return;
    event.preventDefault();
    move(point.map((v, i) => v + ways[event.key][i] * span[i] * (event.shiftKey ? 0.1 : 0.01)));
  }

  // The address ends in #x=1.5,-0.3, so that a point can be sent to others.
  const share = () => location.replace(`#x=${written()}`);
  const shared = () => /^#x=([^,]+),([^,]+)$/.exec(location.hash)?.slice(1).map(Number);
  const arrive = () => shared()?.every(Number.isFinite) && move(shared());

  handle.addEventListener("touchstart", (event) => event.preventDefault()); // else the finger scrolls the page
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => handle.hasPointerCapture(event.pointerId) && follow(event));
  handle.addEventListener("lostpointercapture", share);
  handle.addEventListener("keydown", moveByKey);
  handle.addEventListener("keyup", share);
  svg.addEventListener("click", (event) => {
    if (handle.contains(event.target)) return; // the end of a drag
    follow(event);
    share();
    handle.focus({ preventScroll: true });
  });
  addEventListener("hashchange", arrive);
  move(start);
  arrive();

  // ---- the network's answer all over the plane, by the same equations ----

  const canvas = document.createElement("canvas");
  const size = (canvas.width = canvas.height = W1.length > 200 ? 60 : 180);
  const brush = canvas.getContext("2d");
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      const x = [low[0] + (span[0] * (i + 0.5)) / size, high[1] - (span[1] * (j + 0.5)) / size];
      brush.fillStyle = colourOf(forward(x).a2);
      brush.fillRect(i, j, 1, 1);
    }
  }
  region.setAttribute("href", canvas.toDataURL());
})();
