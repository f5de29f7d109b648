// The page: which view the URL's hash asks for, and what surrounds it.

import { getServer, UNAUTHENTICATED } from "./api.js";
import { announce, h, replace, setText } from "./dom.js";
import { signedIn, signIn } from "./session.js";
import { installSwitch } from "./theme_switch.js";

// A view's modules are loaded when it is first asked for: charts would keep the list of jobs waiting.
const ROUTES = [
  { pattern: /^#?\/?$/, view: "jobs", load: async () => (await import("./views/jobs.js")).showJobs },
  { pattern: /^#\/jobs$/, view: "jobs", load: async () => (await import("./views/jobs.js")).showJobs },
  { pattern: /^#\/jobs\/([^/]+)$/, view: "jobs", load: async () => (await import("./views/run.js")).showRun },
  { pattern: /^#\/compare$/, view: "jobs", load: async () => (await import("./views/compare.js")).showCompare },
  { pattern: /^#\/models$/, view: "models", load: async () => (await import("./views/models.js")).showModels },
  { pattern: /^#\/models\/([^/]+)$/, view: "models", load: async () => (await import("./views/model.js")).showModel },
  { pattern: /^#\/embeddings$/, view: "embeddings", load: async () => (await import("./views/embeddings.js")).showEmbeddings },
];

const main = document.getElementById("main");
const signOut = document.getElementById("sign-out");
let leaving = new AbortController();

/** Shows what the hash asks for. A view stops whatever it does when its `signal` aborts. */
async function show(first = false) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path, query = ""] = location.hash.split("?");
  const route = ROUTES.find(({ pattern }) => pattern.test(path));
  mark(route?.view);
  const view = route ? await loaded(route) : showUnknown;
  if (signal.aborted) return; // another view was asked for meanwhile
  const root = h("div", { class: "view" });
  replace(main, root);
  const id = route && decoded(path.match(route.pattern)[1]);
  const heading = view(root, { id, query: new URLSearchParams(query), signal });
  title(heading);
  if (first) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
  announce(heading);
}

/** A view; what says that it could not be loaded, where the server does not answer. */
function loaded(route) {
  return route.load().catch(() => showUnloaded);
}

function decoded(text) {
  try {
    return decodeURIComponent(text ?? "");
  } catch {
    return text; // a broken escape: the server says that there is no such thing
  }
}

function showUnknown(root) {
  replace(
    root,
    h("h1", null, "No such view"),
    h("p", null, "This address leads nowhere. ", h("a", { href: "#/jobs" }, "All jobs"), " are a start."),
  );
  return "No such view";
}

function showUnloaded(root) {
  const again = h("button", { type: "button" }, "Load again");
  again.addEventListener("click", () => location.reload()); // a module that failed is not asked for twice
  replace(root, h("h1", null, "The view did not load"), h("p", null, "The server does not answer. ", again));
  return "The view did not load";
}

/** Asks for a token in place of the view, which stops asking the server. */
async function askForToken({ detail }) {
  if (leaving.signal.aborted) return; // it is asked for already
  leaving.abort();
  const { showSignIn } = await import("./views/sign_in.js");
  const root = h("div", { class: "view" });
  replace(main, root);
  title(showSignIn(root, detail, restart));
  announce("Sign in");
}

/** Shows the view anew, for whoever is signed in now. */
function restart() {
  signOut.hidden = !signedIn();
  return show().then(describeServer);
}

/** Names the window. */
function title(text) {
  document.title = `${text} · Headstart`;
}

function mark(view) {
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function describeServer() {
  try {
    const { version, devices = [] } = await getServer();
    const device = devices.map(({ name, description }) => `${name} (${description})`).join(", ");
    setText(document.getElementById("server-line"), `Headstart ${version}${device ? ` on ${device}` : ""}`);
  } catch (error) {
    const said = error.code === 401 ? "" : "The server does not answer. Views try again by themselves.";
    setText(document.getElementById("server-line"), said);
  }
}

document.querySelector("a.skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the view's
  main.focus();
});
installSwitch(document.getElementById("theme"));
signOut.hidden = !signedIn();
signOut.addEventListener("click", () => {
  signIn("");
  restart();
});
addEventListener(UNAUTHENTICATED, askForToken);
addEventListener("hashchange", () => show());
show(true).then(describeServer);
