// agent-ipc @VERSION@ in Cline CLI: its events go to `ipc hook cline`, and a line of `ipc monitor` becomes a prompt.
import { execFile, spawn } from "node:child_process"
import { createInterface } from "node:readline"

const RUN = "@RUN@"
const CLAIMS = "@CLAIMS@"
const ALLOWED = "@ALLOWED@"
const TURN_MS = 2600 // where a hook takes 3 s, the host stops the plugin and drops the answer
const START_MS = 12000
const WOKEN_MS = 20000 // a session whose terminal was closed stays in the hub, and begins no turn

let session, folder, starting, monitor, watch
let first = "" // the start's text, until the model is asked
let shown = 0 // the step in which it was given after a tool: no event of that step shows that the model has it
let held = "" // a prompt that was queued and has not begun a turn yet
let noticed = "" // a notice that came while a turn runs, which has brought no mail since
let running = false

const run = (event, given, limitMs) =>
  new Promise((done) => {
    const options = { timeout: limitMs, killSignal: "SIGKILL", maxBuffer: 1 << 24 } // killed, it gives its mail back
    const child = execFile("/bin/sh", ["-c", `${RUN} hook cline ${event}`], options, (_error, said) => done(said))
    child.stdin.on("error", () => {}) // it did not wait for its input
    child.stdin.end(JSON.stringify({ session_id: session, cwd: folder, ...given }))
  })
    .then(JSON.parse)
    .catch(() => ({})) // it said nothing, or was killed

const text = async (...words) => (await run(...words)).hookSpecificOutput?.additionalContext ?? ""

function queue(prompt) {
  if (running) return void (noticed = prompt) // hooks bring mail while a turn runs
  globalThis.__clinePluginHost?.emitEvent("queue_message", { sessionId: session, prompt })
  watch ??= setTimeout(end, WOKEN_MS)
}

async function begin() {
  first = await text("SessionStart@NAME@", {}, START_MS)
  starting = undefined
  monitor = spawn("/bin/sh", ["-c", `${RUN} monitor "$0"`, session], { stdio: ["ignore", "pipe", "ignore"] })
  monitor.on("error", () => {})
  createInterface({ input: monitor.stdout }).on("line", queue)
}

function end() {
  monitor?.kill()
  monitor = undefined // the next turn begins anew
  // the environment tells it the session
  spawn("/bin/sh", ["-c", `${RUN} hook cline SessionEnd`], { detached: true, stdio: "ignore" }).unref()
}

const took = (said = first) => ((first = ""), said)

function added(...parts) {
  const whole = parts.filter(Boolean).join("\n")
  noticed = whole ? "" : noticed
  return whole ? { appendContext: whole } : undefined // an empty one would erase what other plugins add
}

const call = ({ snapshot, toolCall, input }) => ({
  ...(snapshot.parentAgentId && { agent_id: snapshot.agentId }),
  tool_name: toolCall.toolName,
  tool_use_id: toolCall.toolCallId,
  tool_input: input,
})

const hooks = {
  async beforeRun({ snapshot }) {
    if (!session || snapshot.parentAgentId) return
    const until = Date.now() + TURN_MS
    running = true
    watch = clearTimeout(watch)
    if (!monitor && !starting) starting = begin()
    await Promise.race([starting, new Promise((done) => setTimeout(done, TURN_MS - 800))])
    if (starting) return // its text comes with a later event; until then no event may show that the model has it
    const dropped = JSON.stringify(snapshot.messages.at(-1) ?? "").includes(JSON.stringify(held).slice(1, -1)) ? "" : held
    held = ""
    return added(took(), dropped, await text("UserPromptSubmit", {}, until - Date.now()))
  },

  async beforeTool(event) {
    if (!session || starting) return
    const own = CLAIMS && !event.snapshot.parentAgentId && !first && event.snapshot.iteration !== shown
    const said = own ? await text("PreToolUse", call(event), TURN_MS) : void run("BeforeTool", call(event), TURN_MS)
    return ALLOWED.includes(event.toolCall.toolName) ? { ...added(said), policy: { autoApprove: true } } : added(said)
  },

  async afterTool(event) {
    if (!session || starting || event.snapshot.iteration === shown) return
    if (first && !event.snapshot.parentAgentId) shown = event.snapshot.iteration
    else return added(await text("PostToolUse", { ...call(event), tool_response: event.result?.output }, TURN_MS))
    return added(took())
  },

  async afterRun({ snapshot, result }) {
    if (snapshot.parentAgentId) return
    const event = { completed: "Stop", failed: "StopFailure" }[result.status] ?? "Interrupt"
    if (session && !starting && !first) held = (await run(event, {}, TURN_MS)).reason ?? noticed
    running = false
    noticed = ""
    if (held) queue(held)
  },
}

function setup(_api, context) {
  if (!context.session?.sessionId) return // the terminal only lists its commands
  session = context.session.sessionId
  folder = context.workspaceInfo?.rootPath ?? process.cwd()
  Object.assign(process.env, { CLINE_SESSION_ID: session, IPC_HOST_PID: String(process.ppid) })
  process.on("SIGTERM", () => process.exit(0))
  process.on("exit", end)
  starting = begin()
}

export default { name: "agent-ipc", manifest: { capabilities: ["hooks"] }, setup, hooks }
