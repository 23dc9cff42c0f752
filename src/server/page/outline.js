// Where a set of rectangles ends: the borders of their union.

/** Straight lines ([x0, y0, x1, y1]) around the union of `rects` (the same form), each as long as it goes. */
export function borders(rects) {
    const xs = edges(rects, 0, 2);
    const ys = edges(rects, 1, 3);
    const covered = cells(rects, xs, ys);
    const rows = runs(ys.length, xs.length, (y, x) => covered(x, y) !== covered(x, y - 1));
    const columns = runs(xs.length, ys.length, (x, y) => covered(x, y) !== covered(x - 1, y));
    return [
        ...rows.map(([y, from, to]) => [xs[from], ys[y], xs[to], ys[y]]),
        ...columns.map(([x, from, to]) => [xs[x], ys[from], xs[x], ys[to]]),
    ];
}

/** Sorted coordinates of edges, each once. */
function edges(rects, ...sides) {
    return [...new Set(rects.flatMap((rect) => sides.map((side) => rect[side])))].sort((a, b) => a - b);
}

/** Whether any rectangle covers a cell of the grid that the edges make. */
function cells(rects, xs, ys) {
    const column = new Map(xs.map((x, i) => [x, i]));
    const row = new Map(ys.map((y, i) => [y, i]));
    const filled = new Set();
    for (const [x0, y0, x1, y1] of rects) {
        for (let y = row.get(y0); y < row.get(y1); y++) {
            for (let x = column.get(x0); x < column.get(x1); x++) filled.add(y * xs.length + x);
        }
    }
    return (x, y) => x >= 0 && filled.has(y * xs.length + x);
}

/** [line, from, to] for every unbroken run of places on a line where `marked(line, place)`. */
function runs(lines, places, marked) {
    const found = [];
    for (let line = 0; line < lines; line++) {
        let from = null;
        for (let place = 0; place < places; place++) {
            const is = marked(line, place);
            if (is && from === null) from = place;
            if (!is && from !== null) {
                found.push([line, from, place]);
                from = null;
            }
        }
    }
    return found;
}
