// agent-ipc in opencode: tells `ipc hook opencode EVENT` what happens in a session and gives its answers to the model, adds our
// MCP server, and wakes an idle session by the lines of `ipc monitor SESSION`. `ipc uninstall opencode` removes this file.
// @PROCESSES@

const RUN = "@RUN@", START = "@START@@NAME@", SERVER = "@SERVER@"
const { rules, claims, approvals } = "@CHOSEN@"
const MARK = "agent-ipc" // of parts of messages that are ours
const SEVERAL = "Several sessions run in this opencode; the server can't tell which calls. In your shell ipc is you: ipc --help"
// In a terminal one person sees one session. A run ends with its turn.
const TERMINAL = process.argv[1]?.includes("/tui/"), HEADLESS = process.argv.includes("run")

export const AgentIpc = async ({ client, directory }) => {
  // The user's file and a project's may both be there: one serves a folder.
  if ((globalThis[Symbol.for(MARK + directory)] ??= import.meta.url) !== import.meta.url) return {}
  const sessions = new Map(), begun = new Set(), calls = new Map(), asked = new Map()
  const taken = (callID, call = calls.get(callID)) => calls.delete(callID) && call

  // { s, agent_id } of a session's id: of a subagent its leader's session, and that id.
  async function of(id) {
    if (sessions.has(id)) return sessions.get(id)
    const parent = (await client.session.get({ path: { id } })).data?.parentID
    const found = parent ? { ...(await of(parent)), agent_id: id } : { s: { id, line: Promise.resolve(), source: "startup" } }
    return sessions.get(id) ?? sessions.set(id, found).get(id)
  }
  const run = (s, event, given, line = RUN, ms) =>
    ipc(line, ["hook", "opencode", event], { session_id: s.id, cwd: directory, ...given }, ms)
  // The hooks of a session run one after the other, in the order in which things happened.
  const hook = (s, ...about) => (s.line = s.line.then(() => answer(run(s, ...about))).catch(() => ({})))
  const prompt = (s, part) =>
    client.session.promptAsync({ path: { id: s.id }, body: { ...s.as, parts: [{ type: "text", ...part }] } }).catch(() => {})
  async function begin(s) {
    if (!s.source) return ""
    const started = hook(s, "start", { source: s.source, ends_with_turn: HEADLESS }, START)
    begun.add(Object.assign(s, { source: "" }))
    const told = await started
    if (!HEADLESS && !s.monitor) lines((s.monitor = ipc(RUN, ["monitor", s.id], {}, 0)), (text) => prompt(s, { text }))
    return told.additionalContext
  }
  const end = (s) => {
    begun.delete(Object.assign(s, { source: "resume", monitor: void s.monitor?.kill() }))
    return hook(s, "end")
  }

  const hooks = {
    config: (config) => {
      config.mcp = { ipc: { type: "local", command: [SERVER.command, ...SERVER.args], environment: SERVER.env }, ...config.mcp }
      if (rules) config.permission = { ...(config.permission?.at ? { "*": config.permission } : config.permission), ...rules }
    },
    "chat.message": async ({ s, agent_id }, { message, parts }) => {
      if (agent_id) return // its leader's mail
      const queued = s.busy || parts.some((part) => part.metadata?.[MARK])
      s.as = { agent: message.agent, model: message.model } // its user's choice, also for a turn that mail begins
      if (TERMINAL) await Promise.all([...begun].filter((one) => one !== s && !one.busy).map(end)) // this is the agent now
      if (queued) return
      const text = joined(await begin(s), (await hook(s, "prompt")).additionalContext)
      const ours = { type: "text", text, synthetic: true, ignored: true, metadata: { [MARK]: "mail" } }
      Object.assign(s, { held: false, unseen: text }) // until the model is asked
      if (text) parts.push({ ...ours, id: `${parts.at(-1).id}m`, sessionID: s.id, messageID: message.id })
    },
    // The request for a title has the first prompt without its ignored parts. In the conversation they follow their prompt.
    "experimental.chat.messages.transform": async (_about, { messages }) => {
      const mail = (parts) => parts.filter((p) => p.metadata?.[MARK] === "mail").map((p) => ({ ...p, ignored: false }))
      const following = ({ info, parts }) => (mail(parts).length ? [{ info, parts: mail(parts) }] : [])
      messages.splice(0, messages.length, ...messages.flatMap((message) => [message, ...following(message)]))
      ;(await of(messages[0].info.sessionID)).s.unseen = ""
    },
    "tool.execute.before": async ({ s, agent_id, tool, callID }, { args }) => {
      if (begun.size > 1 && tool.startsWith("ipc_")) throw new Refusal(SEVERAL)
      const call = { tool_name: tool, tool_input: args, tool_use_id: callID, agent_id }
      calls.set(callID, call)
      hook(s, "tool_began", call)
      if (claims && /^(edit|write|apply_patch)$/.test(tool)) call.warning = (await hook(s, "edit", call)).additionalContext
    },
    "tool.execute.after": async ({ s, agent_id, callID }, output) => {
      const { warning, ...call } = taken(callID)
      const name = !agent_id && begun.has(s) && (await begin(s)) // after a compaction
      const told = await hook(s, "tool", { ...call, tool_response: output.content ?? output.output })
      const text = joined(warning, s.unseen, name, told.additionalContext)
      s.unseen = ""
      if (text && Array.isArray(output.content)) output.content.push({ type: "text", text })
      else if (text) output.output = `${output.output}\n\n${text}`
    },
    "shell.env": ({ s }, { env }) => s && (env.OPENCODE_SESSION_ID = s.id),
    event: ({ event }) => hooks[event.type]?.(event.properties),
    "session.status": ({ s, status }) => (s.busy = status.type !== "idle"),
    "session.idle": async ({ s, agent_id }) => {
      if (agent_id || !begun.has(s)) return
      const { broken, held, unseen } = s
      Object.assign(s, { broken: "", held: false })
      const told = await hook(s, broken || "stop", { stop_hook_active: held })
      const text = broken ? "" : joined(unseen, told.reason)
      if (text) await prompt(Object.assign(s, { held: true, unseen: "" }), { text, metadata: { [MARK]: "hold" } })
    },
    "session.error": ({ s, agent_id, error: { name } }) =>
      agent_id || (s.broken = name === "MessageAbortedError" ? "turn_ended" : "failed"),
    "session.compacted": ({ s, agent_id }) => agent_id || (s.source = "compact"),
    "question.asked": ({ s }) => hook(s, "answer"),
    "message.part.updated": ({ s, part: { callID, state } }) =>
      state?.status === "error" && calls.has(callID) && hook(s, "tool_ended", { ...taken(callID), error: state.error }),
    "permission.asked": async ({ s, agent_id, id, permission, patterns, tool }) => {
      const call = calls.get(tool?.callID), own = permission === call?.tool_name || permission === "edit"
      const about = own ? call : { tool_name: permission, tool_input: { patterns, ...call?.tool_input }, agent_id }
      if (!approvals) return asked.set(id, { about }) && hook(s, "permission", about)
      const child = run(s, "permit", about, RUN, 600_000) // PERMISSION_S of hooks.py
      asked.set(id, { about, child })
      const { decision } = await answer(child)
      if (!decision || !asked.has(id)) return // the terminal's word counts
      const body = decision.behavior === "allow" ? { reply: "once" } : { reply: "reject", message: decision.message }
      await client._client.post({ url: `/permission/${id}/reply`, body, headers: { "Content-Type": "application/json" } })
    },
    "permission.replied": ({ s, requestID, reply }) => {
      const { about, child } = asked.get(requestID) ?? {}
      asked.delete(requestID)
      child?.kill()
      if (reply !== "reject") hook(s, "sign", about)
    },
    dispose: () => Promise.all([...begun].map(end).concat([...asked.values()].map(({ child }) => child?.kill()))),
  }
  const of_session = (work) => async (about, output) => {
    const id = about?.sessionID ?? about?.part?.sessionID
    return work(id ? { ...about, ...(await of(id)) } : about, output)
  }
  for (const [name, work] of Object.entries(hooks)) hooks[name] = quiet(of_session(work))
  return hooks
}
