/** Two session descriptions line by line: what is the same, changed, only before or only after. Pure. */

export interface DiffRow {
  readonly kind: "same" | "changed" | "removed" | "added";
  readonly before: string;
  readonly after: string;
}

/** Longer ones are shown without looking for differences: the search takes the product of both. */
export const MOST_LINES = 1500;

export function sdpDiff(before: string, after: string): DiffRow[] {
  const [left, right] = [linesOf(before), linesOf(after)];
  if (left.length > MOST_LINES || right.length > MOST_LINES) return beside(left, right);
  return paired(longestCommon(left, right));
}

export function linesOf(text: string): string[] {
  return text.split(/\r\n|\r|\n/).filter((line, at, all) => line !== "" || at < all.length - 1);
}

function beside(left: readonly string[], right: readonly string[]): DiffRow[] {
  return Array.from({ length: Math.max(left.length, right.length) }, (_, at) => {
    const [before = "", after = ""] = [left[at], right[at]];
    return { kind: before === after ? "same" : "changed", before, after };
  });
}

function longestCommon(left: readonly string[], right: readonly string[]): DiffRow[] {
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  const length = (l: number, r: number): number => lengths[l * width + r] ?? 0;
  for (let l = left.length - 1; l >= 0; l -= 1) {
    for (let r = right.length - 1; r >= 0; r -= 1) {
      lengths[l * width + r] = left[l] === right[r] ? length(l + 1, r + 1) + 1 : Math.max(length(l + 1, r), length(l, r + 1));
    }
  }
  const rows: DiffRow[] = [];
  let [l, r] = [0, 0];
  while (l < left.length || r < right.length) {
    const [before = "", after = ""] = [left[l], right[r]];
    if (l < left.length && r < right.length && before === after) {
      rows.push({ kind: "same", before, after });
      l += 1;
      r += 1;
    } else if (r >= right.length || (l < left.length && length(l + 1, r) >= length(l, r + 1))) {
      rows.push({ kind: "removed", before, after: "" });
      l += 1;
    } else {
      rows.push({ kind: "added", before: "", after });
      r += 1;
    }
  }
  return rows;
}

/** Between two lines that are the same, a line that went and one that came of the same name are one that changed. */
function paired(rows: readonly DiffRow[]): DiffRow[] {
  const result: DiffRow[] = [];
  let gap: DiffRow[] = [];
  const flush = (): void => {
    const added = gap.filter(({ kind }) => kind === "added");
    for (const row of gap.filter(({ kind }) => kind === "removed")) {
      const twin = added.findIndex(({ after }) => nameOf(after) === nameOf(row.before));
      if (twin < 0) {
        result.push(row);
        continue;
      }
      // What came before the twin stays before it.
      result.push(...added.splice(0, twin));
      result.push({ kind: "changed", before: row.before, after: added.shift()?.after ?? "" });
    }
    result.push(...added);
    gap = [];
  };
  for (const row of rows) {
    if (row.kind !== "same") {
      gap.push(row);
      continue;
    }
    flush();
    result.push(row);
  }
  flush();
  return result;
}

/** `m=audio`, `a=rtpmap`, `c`: what a line is about. */
function nameOf(line: string): string {
  return /^(?:m=\w*|a=[^:\s]*|[a-z])/.exec(line)?.[0] ?? line;
}
