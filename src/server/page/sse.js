// Server-sent events of a fetched body. EventSource cannot post, so the few rules of the format are here.

/** Data of every event, as text. Comments, which keep the connection alive, are passed over. */
export async function* eventData(body) {
    let data = [];
    for await (const line of lines(body)) {
        if (line === "") {
            if (data.length > 0) yield data.join("\n");
            data = [];
        } else if (line.startsWith("data:")) {
            data.push(line.slice(line[5] === " " ? 6 : 5));
        }
    }
}

/** Lines that end in LF, CR or CR LF; an unfinished last one is dropped, as browsers do. */
async function* lines(body) {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const bytes of chunks(body)) {
        rest += decoder.decode(bytes, { stream: true });
        for (let end; (end = /\r\n|\n|\r(?=[^])/.exec(rest)); rest = rest.slice(end.index + end[0].length)) {
            yield rest.slice(0, end.index);
        }
    }
}

/** Not every browser iterates over streams. */
async function* chunks(body) {
    const reader = body.getReader();
    try {
        for (let read; !(read = await reader.read()).done; ) yield read.value;
    } finally {
        // Whoever leaves early wants no more: this hangs up, and the server stops its work.
        reader.cancel().catch(() => {});
    }
}
