// Wakes an idle session of Copilot CLI: each line of `ipc monitor SESSION` becomes a prompt, to which the hooks add the mail.
// Where the host loads this twice, the broker gives the notices of a session to one monitor; the other ends at once.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { joinSession } from "@github/copilot-sdk/extension";

const RUN = "@RUN@";
const APPROVALS = "@APPROVALS@";
const asked = new Map(); // the processes that wait for a decision, by the call that it is about
let monitor;

function ipc(...words) {
  const child = spawn("/bin/sh", ["-c", `${RUN} "$@"`, "ipc", ...words], { stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.on("error", () => {}); // it ended without reading
  return child;
}

function watch() {
  if (monitor) return;
  monitor = ipc("monitor", session.sessionId);
  monitor.on("exit", () => (monitor = undefined));
  createInterface({ input: monitor.stdout }).on("line", (prompt) => {
    const told = [session.log(prompt), session.send({ prompt, mode: "immediate", source: "system" })]; // not as the user's words
    Promise.all(told).catch(() => {}); // what could not be sent shows no sign, and the broker goes on from there
  });
}

// A permission prompt: the person's decision from elsewhere, or "no-result". The terminal asks, too; the first answer counts.
async function decided(request, { sessionId, promptRequest }) {
  const { kind, toolCallId, ...toolArgs } = promptRequest ?? request;
  const child = ipc("hook", "copilot", "AskPermission");
  asked.set(toolCallId, child);
  child.stdin.end(JSON.stringify({ sessionId, toolName: kind, toolArgs }));
  let answer = "";
  for await (const part of child.stdout) answer += part;
  asked.delete(toolCallId);
  return answer ? JSON.parse(answer) : { kind: "no-result" };
}

const session = await joinSession(APPROVALS ? { onPermissionRequest: decided } : {});
session.on("user.message", watch); // the first begins the session, as hooks know it
session.on("permission.completed", ({ data }) => asked.get(data.toolCallId)?.kill()); // also of a turn that was broken off
process.on("SIGTERM", () => process.exit());
process.on("exit", () => [monitor, ...asked.values()].forEach((child) => child?.kill()));
setInterval(watch, 30_000); // its place may have been taken by the monitor of the session before, which ends by then
watch();
