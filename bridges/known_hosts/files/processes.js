import { spawn } from "node:child_process"
import { createInterface } from "node:readline"

// Runs our program by a shell line, with an object for its standard input, for at most so many milliseconds.
function ipc(line, words, given = {}, timeout = 10_000) {
  const child = spawn("/bin/sh", ["-c", `${line} "$@"`, "ipc", ...words], { stdio: ["pipe", "pipe", "ignore"], timeout })
  child.on("error", () => {})
  child.stdin.on("error", () => {}).end(JSON.stringify(given)) // it may end without reading
  return child
}

// Gives each line that our program writes to a function.
const lines = (child, take) => createInterface({ input: child.stdout }).on("line", take)

// The answer of a hook; empty where it says nothing.
async function answer(child) {
  let said = ""
  for await (const part of child.stdout.setEncoding("utf8")) said += part
  const told = said.startsWith("{") ? JSON.parse(said) : { additionalContext: said.trim() } // the shell says that we have moved
  return told.hookSpecificOutput ?? told
}

// What goes wrong in the work may not break the host's turn; a refusal is meant.
class Refusal extends Error {}
const quiet = (work) => async (...given) => {
  try {
    return await work(...given)
  } catch (e) {
    if (e instanceof Refusal) throw e
  }
}

const joined = (...texts) => texts.filter(Boolean).join("\n")
