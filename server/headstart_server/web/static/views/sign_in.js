// Asks for a token, where the server wants one.

import { h, replace } from "../dom.js";
import { signedIn, signIn } from "../session.js";

/** Shows the form; `message` is what the server said, `done` is called once a token is there. Returns the title. */
export function showSignIn(root, message, done) {
  const field = h("input", {
    type: "password",
    id: "token",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "token-help",
  });
  const submit = (event) => {
    event.preventDefault();
    const token = field.value.trim();
    if (!token) return;
    signIn(token);
    done();
  };
  const refused = signedIn() ? h("p", { class: "notice bad", role: "alert" }, message) : null;
  replace(
    root,
    h("h1", null, "Sign in"),
    refused,
    h(
      "form",
      { onsubmit: submit, class: "card" },
      h("div", { class: "field" }, h("label", { for: "token" }, "Token"), field),
      h(
        "p",
        { id: "token-help", class: "muted" },
        "This server asks who you are. Its operator has tokens; yours is kept in this tab until you close it.",
      ),
      h("div", { class: "actions" }, h("button", { type: "submit" }, "Sign in")),
    ),
  );
  field.focus();
  return "Sign in";
}
