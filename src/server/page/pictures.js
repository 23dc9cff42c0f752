// Pictures on their way into a question: chosen, dropped or pasted.

import { element } from "./dom.js";

/** Sides of a picture that the browser cannot show, for its frame. */
const UNSHOWN = { width: 4, height: 3 };

export class Picture {
    constructor(file, name) {
        this.file = file;
        this.name = name;
        this.url = URL.createObjectURL(file);
    }

    /** Reads the file; the server decides whether it is a picture that it knows. */
    static async open(file) {
        const picture = new Picture(file, file.name || "pasted picture");
        picture.data = await dataUrl(file);
        const size = await createImageBitmap(file).catch(() => null);
        picture.isShown = size !== null;
        ({ width: picture.width, height: picture.height } = size ?? UNSHOWN);
        size?.close();
        return picture;
    }

    /** An element that shows it, with `alt` as its words. */
    image(alt) {
        if (this.isShown) return element("img", { src: this.url, alt });
        return element("span", { className: "unshown" }, "No preview");
    }

    forget() {
        URL.revokeObjectURL(this.url);
    }
}

/** Pictures of the next question, above its text. */
export class Tray {
    #pictures = [];
    #onChange;

    constructor(root, onChange) {
        this.root = root;
        this.#onChange = onChange;
    }

    get pictures() {
        return this.#pictures;
    }

    /** `files` that are pictures are added; tells how many were none. */
    async add(files) {
        const images = [...files].filter((file) => file.type.startsWith("image/"));
        const opened = await Promise.allSettled(images.map(Picture.open));
        this.#pictures.push(...opened.filter((each) => each.status === "fulfilled").map((each) => each.value));
        this.#draw();
        return { refused: files.length - images.length, unreadable: opened.filter((each) => each.reason).length };
    }

    /** Takes pictures back, before those that are here. */
    giveBack(pictures) {
        this.#pictures.unshift(...pictures);
        this.#draw();
    }

    /** Gives the pictures away. */
    take() {
        const taken = this.#pictures;
        this.#pictures = [];
        this.#draw();
        return taken;
    }

    #remove(picture) {
        const index = this.#pictures.indexOf(picture);
        this.#pictures.splice(index, 1);
        picture.forget();
        this.#draw();
        const buttons = this.root.querySelectorAll("button");
        (buttons[Math.min(index, buttons.length - 1)] ?? document.getElementById("question")).focus();
    }

    #draw() {
        this.root.replaceChildren(...this.#pictures.map((picture) => this.#item(picture)));
        this.root.hidden = this.#pictures.length === 0;
        this.#onChange();
    }

    #item(picture) {
        const label = `Remove ${picture.name}`;
        const remove = element("button", { type: "button", title: label, "aria-label": label }, "×");
        remove.onclick = () => this.#remove(picture);
        return element("li", {}, picture.image(picture.name), remove);
    }
}

function dataUrl(file) {
    return new Promise((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(file);
    });
}
