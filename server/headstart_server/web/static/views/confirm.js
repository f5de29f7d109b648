// A question before something that cannot be taken back.

import { h } from "../dom.js";

/** Asks; resolves with whether the answer was yes. Escape is no. */
export function confirmed(question, consequence, yes, no) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "question" },
      h("form", { method: "dialog" },
        h("h2", { id: "question" }, question), h("p", null, consequence),
        h("div", { class: "actions" },
          h("button", { value: "no", autofocus: true }, no),
          h("button", { value: "yes", class: "danger" }, yes))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
