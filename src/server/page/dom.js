// Markup lives in the templates of index.html; scripts fill in its parts. All text is set as text.

/** A copy of the template with this id. */
export function fromTemplate(id) {
    return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** The element marked `data-part="name"` within `root`. */
export function part(root, name) {
    return root.querySelector(`[data-part="${name}"]`);
}

/** A new element; `properties` are set on it, `data` and `aria-*` among them as attributes. */
export function element(name, properties = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
        if (key in node) node[key] = value;
        else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
}
