/** The routing table as a text that people edit, and where in it something is wrong. Pure. */

import { listOf, membersOf, textOf, type Members } from "./members.ts";

export interface Problem {
  readonly text: string;
  /** Where it is, from 1; none: nobody knows. */
  readonly lines: readonly number[];
}

type Expected = "a value" | "a value or ]" | "a name in quotation marks" | "a name in quotation marks or }" | ":" | ", or the end of the list or object" | "{" | "the end of the text";

interface Open {
  readonly isList: boolean;
  /** Of the member, or the position of the entry, that is being read. */
  name: string | number;
}

interface Scanned {
  readonly fault: Problem | undefined;
  /** Lines where the members of the document begin, and the entries of these: `routes`, `routes/3`, `plans/a.example`. */
  readonly lines: ReadonlyMap<string, number>;
}

const TOKEN = /"(?:[^"\\\n]|\\.)*"|[{}[\]:,]|\n|[^ \t\r\n{}[\]:,"]+|"/g;
const NEXT = ", or the end of the list or object";
const LONGEST_SHOWN = 20;

/** The document as JSON with one row, plan or permission a line. */
export function textOfTable(document: Members): string {
  const members = Object.entries(document).map(([name, value]) => `  ${JSON.stringify(name)}: ${entriesText(value)}`);
  return `{\n${members.join(",\n")}\n}\n`;
}

function entriesText(value: unknown): string {
  const entries = Array.isArray(value) ? value.map(lineText) : Object.entries(membersOf(value)).map(([key, one]) => `${JSON.stringify(key)}: ${lineText(one)}`);
  const [first, last] = Array.isArray(value) ? "[]" : "{}";
  return entries.length === 0 ? `${first}${last}` : `${first}\n${entries.map((one) => `    ${one}`).join(",\n")}\n  ${last}`;
}

/** Line ends are never in a text of JSON itself, so what is taken away is between its parts. */
function lineText(value: unknown): string {
  return JSON.stringify(value, null, 1).replace(/\n\s*/g, " ");
}

/** What keeps a text from being a JSON object; the browsers' own messages name no line, or not all of them do. */
export function faultOf(text: string): Problem | undefined {
  return scan(text).fault;
}

/** What the service has said of a table, problem by problem, with the lines of the text that was sent. */
export function problemsOf(detail: string, text: string): Problem[] {
  const { lines } = scan(text);
  const ids = listOf(membersOf(JSON.parse(text)), "routes").map((row) => textOf(row, "id"));
  const problems = detail.split(/; (?=(?:row|plan of|permission|trunk group|conference) ['"\d])/);
  return problems.map((problem) => {
    const found = placesOf(problem, ids).map((place) => lines.get(place));
    return { text: problem, lines: found.filter((line) => line !== undefined) };
  });
}

function placesOf(problem: string, ids: readonly string[]): string[] {
  const [, row] = /\$\.routes\[(\d+)\]/.exec(problem) ?? /^row (\d+):/.exec(problem) ?? [];
  if (row !== undefined) return [`routes/${row}`];
  const [, member] = /\$\.(\w+)/.exec(problem) ?? [];
  if (member !== undefined) return [member];
  const [, what, , name] = /^(row|plan of|permission|trunk group|conference) (['"])(.*?)\2: /.exec(problem) ?? [];
  if (what === "row") return ids.flatMap((id, at) => (id === name ? [`routes/${at}`] : []));
  const parts: Readonly<Record<string, string>> = { "plan of": "plans", permission: "permissions", "trunk group": "trunk_groups", conference: "conferences" };
  return what === undefined ? [] : [`${parts[what] ?? ""}/${name}`];
}

function scan(text: string): Scanned {
  const lines = new Map<string, number>();
  const open: Open[] = [];
  let line = 1;
  let expected: Expected = "{";
  const fault = (found: string): Scanned => {
    const shown = found.length > LONGEST_SHOWN ? `${found.slice(0, LONGEST_SHOWN)}…` : found;
    return { fault: { text: `This is no JSON: expected ${expected}, found ${shown}`, lines: [line] }, lines };
  };
  const begins = (): void => {
    const [document, inner] = open;
    if (document !== undefined && open.length <= 2) lines.set(inner === undefined ? `${document.name}` : `${document.name}/${inner.name}`, line);
  };
  for (const [token] of text.matchAll(TOKEN)) {
    const last = open.at(-1);
    if (token === "\n") {
      line += 1;
    } else if (token === ":" && expected === ":") {
      expected = "a value";
    } else if (token === "," && expected === NEXT && last !== undefined) {
      if (last.isList) last.name = Number(last.name) + 1;
      expected = last.isList ? "a value" : "a name in quotation marks";
    } else if (last !== undefined && token === (last.isList ? "]" : "}") && (expected === NEXT || expected.endsWith(` or ${token}`))) {
      open.pop();
      expected = open.length > 0 ? NEXT : "the end of the text";
    } else if (expected.startsWith("a name") && last !== undefined && isScalar(token) && token.startsWith('"')) {
      last.name = String(JSON.parse(token));
      begins();
      expected = ":";
    } else if (expected.startsWith("a value") || (expected === "{" && token === "{")) {
      if (last?.isList === true) begins();
      if (token === "{" || token === "[") {
        open.push({ isList: token === "[", name: 0 });
        expected = token === "[" ? "a value or ]" : "a name in quotation marks or }";
      } else if (isScalar(token)) {
        expected = NEXT;
      } else {
        return fault(token);
      }
    } else {
      return fault(token);
    }
  }
  return expected === "the end of the text" ? { fault: undefined, lines } : fault("the end of the text");
}

function isScalar(token: string): boolean {
  try {
    JSON.parse(token);
    return true;
  } catch {
    return false;
  }
}
