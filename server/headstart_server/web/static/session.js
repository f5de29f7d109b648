// The token that requests of this tab carry: kept until the tab is closed, or somebody signs out.

const STORED = "headstart-token";
let held = stored();

function stored() {
  try {
    return sessionStorage.getItem(STORED) ?? "";
  } catch {
    return ""; // storage is off: the token is held until the page is left
  }
}

/** Whether there is a token. */
export function signedIn() {
  return held !== "";
}

/** The header that says who asks; none without a token. */
export function authorization() {
  return held ? { Authorization: `Bearer ${held}` } : {};
}

/** Takes a token for all requests from now on; an empty one signs out. */
export function signIn(token) {
  held = token;
  try {
    if (token) sessionStorage.setItem(STORED, token);
    else sessionStorage.removeItem(STORED);
  } catch {
    // as above
  }
}
