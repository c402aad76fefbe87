// agent-ipc @VERSION@ in Amp: its events go to `ipc hook amp`, and a line of `ipc monitor` becomes a message of the thread.
import { execFile, spawn } from "node:child_process"
import { createInterface } from "node:readline"

export const description = "Mail between AI coding agents"

const RUN = "@RUN@"
const HOOK_MS = 5000
const START_MS = 15000

export default function (amp: any) {
  const monitors = new Map<string, any>()
  const folder = amp.system?.workspaceRoot?.fsPath ?? process.cwd()
  process.env.IPC_HOST_PID = String(process.ppid)

  const run = (event: string, thread: string, given: object, limitMs: number): Promise<any> =>
    new Promise<string>((done) => {
      const options = { timeout: limitMs, killSignal: "SIGKILL" as const, maxBuffer: 1 << 24 } // killed, it gives its mail back
      const child = execFile("/bin/sh", ["-c", `${RUN} hook amp ${event}`], options, (_error, said) => done(said))
      child.stdin?.on("error", () => {})
      child.stdin?.end(JSON.stringify({ session_id: thread, cwd: folder, ...given }))
    })
      .then(JSON.parse)
      .catch(() => ({})) // it said nothing, or was killed

  const text = async (event: string, thread: string, given = {}, limitMs = HOOK_MS): Promise<string> =>
    (await run(event, thread, given, limitMs)).hookSpecificOutput?.additionalContext ?? ""

  async function begin(handle: any, id: string): Promise<string> {
    const said = await text("SessionStart@NAME@", id, {}, START_MS)
    const monitor = spawn("/bin/sh", ["-c", `${RUN} monitor "$0"`, id], { stdio: ["ignore", "pipe", "ignore"] })
    monitor.on("error", () => {})
    createInterface({ input: monitor.stdout }).on("line", (content) => {
      void handle?.appendUserMessage?.({ type: "user-message", content })
    })
    monitors.set(id, monitor)
    return said
  }

  amp.on("agent.start", async (event: any, context: any) => {
    const id = event.thread.id
    const first = monitors.has(id) ? "" : await begin(context?.thread, id)
    const content = [first, await text("UserPromptSubmit", id)].filter(Boolean).join("\n")
    return content ? { message: { content } } : {}
  })

  amp.on("tool.result", async (event: any) => {
    if (!monitors.has(event.thread.id) || event.status !== "done" || typeof event.output !== "string") return
    const given = { tool_name: event.tool, tool_use_id: event.toolUseID, tool_input: event.input, tool_response: event.output }
    const said = await text("PostToolUse", event.thread.id, given)
    return said ? { status: "done", output: `${event.output}\n${said}` } : undefined
  })

  amp.on("agent.end", async (event: any) => {
    if (!monitors.has(event.thread.id)) return
    const name = { done: "Stop", error: "StopFailure" }[event.status as string] ?? "Interrupt"
    const { reason } = await run(name, event.thread.id, {}, HOOK_MS)
    return reason ? { action: "continue", userMessage: reason, maxContinuations: 3 } : undefined
  })

  amp.onDispose?.(async () => {
    for (const [id, monitor] of monitors) {
      monitor.kill()
      await run("SessionEnd", id, {}, HOOK_MS)
    }
  })
}
