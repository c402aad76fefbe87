// Exchanges the token behind # for a cookie. The token leaves the address bar first, so that no history keeps it.
"use strict";
(async () => {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  const state = document.getElementById("sign-in-state");
  state.textContent = "Signing in …";
  try {
    const reply = await fetch("/sign-in", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ token }),
    });
    if (reply.ok) return location.replace("/");
    state.textContent = (await reply.json()).message;
  } catch {
    state.textContent = "The page does not answer. Type: ipc web";
  }
})();
