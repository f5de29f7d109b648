// The page: which view the URL's hash asks for, and what surrounds it.

import { getServer } from "./api.js";
import { announce, h, replace, setText } from "./dom.js";
import { installSwitch } from "./theme_switch.js";
import { showCompare } from "./views/compare.js";
import { showEmbeddings } from "./views/embeddings.js";
import { showJobs } from "./views/jobs.js";
import { showModel } from "./views/model.js";
import { showModels } from "./views/models.js";
import { showRun } from "./views/run.js";

const ROUTES = [
  { pattern: /^#?\/?$/, view: "jobs", show: showJobs },
  { pattern: /^#\/jobs$/, view: "jobs", show: showJobs },
  { pattern: /^#\/jobs\/([^/]+)$/, view: "jobs", show: showRun },
  { pattern: /^#\/compare$/, view: "jobs", show: showCompare },
  { pattern: /^#\/models$/, view: "models", show: showModels },
  { pattern: /^#\/models\/([^/]+)$/, view: "models", show: showModel },
  { pattern: /^#\/embeddings$/, view: "embeddings", show: showEmbeddings },
];

const main = document.getElementById("main");
let leaving = new AbortController();

/** Shows what the hash asks for. A view stops whatever it does when its `signal` aborts. */
function show(first = false) {
  leaving.abort();
  leaving = new AbortController();
  const [path, query = ""] = location.hash.split("?");
  const route = ROUTES.find(({ pattern }) => pattern.test(path));
  const root = h("div", { class: "view" });
  replace(main, root);
  mark(route?.view);
  const heading = route
    ? route.show(root, { id: decoded(path.match(route.pattern)[1]), query: new URLSearchParams(query), signal: leaving.signal })
    : showUnknown(root);
  title(heading);
  if (first) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
  announce(heading);
}

function decoded(text) {
  try {
    return decodeURIComponent(text ?? "");
  } catch {
    return text; // a broken escape: the server says that there is no such thing
  }
}

function showUnknown(root) {
  replace(root, h("h1", null, "No such view"), h("p", null, "This address leads nowhere. ", h("a", { href: "#/jobs" }, "All jobs"), " are a start."));
  return "No such view";
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
  } catch {
    setText(document.getElementById("server-line"), "The server does not answer. Views try again by themselves.");
  }
}

document.querySelector("a.skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the view's
  main.focus();
});
installSwitch(document.getElementById("theme"));
addEventListener("hashchange", () => show());
show(true);
describeServer();
