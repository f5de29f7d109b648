// Fields of the form: each gives one column of a table with one row.

import { h } from "../dom.js";

const HINTS = {
  number: "a number, e.g. 12.5",
  category: "one value, as in the training data",
  binary: "one value, as in the training data",
  set: "items, separated as in the training data",
  vector: "numbers, separated by spaces",
};

/** A text box for everything but images. */
export class TextField {
  constructor({ column, type }, index) {
    this.name = column;
    this.type = type;
    const id = `input-${index}`;
    const described = { id, name: column, "aria-describedby": `${id}-hint`, autocomplete: "off" };
    this.box = type === "text" ? h("textarea", { ...described, rows: 3 }) : h("input", { ...described, type: "text", inputmode: type === "number" ? "decimal" : null });
    this.problem = h("span", { class: "problem", role: "alert" });
    this.element = h("div", { class: "field" },
      h("label", { for: id }, column), h("span", { class: "hint", id: `${id}-hint` }, type, HINTS[type] ? `: ${HINTS[type]}` : ""), this.box, this.problem);
  }

  /** Whether what was typed can be sent; says why not. */
  check() {
    const wrong = this.type === "number" && this.box.value.trim() !== "" && !Number.isFinite(Number(this.box.value));
    this.problem.textContent = wrong ? `${this.name} must be a number such as 12.5, or empty.` : "";
    this.box.setAttribute("aria-invalid", String(wrong));
    return !wrong;
  }

  focus() {
    this.box.focus();
  }

  /** The column of the request. */
  async column() {
    const text = this.box.value;
    if (text.trim() === "") return { name: this.name, strings: { values: [""] }, nulls: [true] };
    if (this.type === "number") return { name: this.name, doubles: { values: [Number(text)] } };
    return { name: this.name, strings: { values: [text] } };
  }
}

/** A place to drop an image, or to choose one. */
export class ImageField {
  constructor({ column }, index) {
    this.name = column;
    this.file = null;
    const id = `input-${index}`;
    this.box = h("input", { id, type: "file", accept: "image/jpeg,image/png,image/webp,image/bmp,image/gif", "aria-describedby": `${id}-hint` });
    this.preview = h("img", { class: "preview", alt: "", hidden: true });
    const zone = h("div", { class: "drop" }, this.preview, this.box, h("span", { class: "hint", id: `${id}-hint` }, "image: JPEG, PNG, WebP, BMP or GIF; drop it here, or choose it"));
    this.box.addEventListener("change", () => this.#take(this.box.files[0] ?? null));
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      this.#take(event.dataTransfer.files[0] ?? null);
    });
    this.element = h("div", { class: "field" }, h("label", { for: id }, column), zone);
  }

  check() {
    return true;
  }

  focus() {
    this.box.focus();
  }

  /** The column of the request: the bytes of the file. */
  async column() {
    if (!this.file) return { name: this.name, bytes: { values: [""] }, nulls: [true] };
    return { name: this.name, bytes: { values: [await base64(this.file)] } };
  }

  #take(file) {
    this.file = file;
    URL.revokeObjectURL(this.preview.src);
    this.preview.hidden = !file;
    if (!file) return;
    this.preview.src = URL.createObjectURL(file);
    this.preview.alt = `Chosen image ${file.name}`;
  }
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}
