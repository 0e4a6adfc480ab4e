/** The twelve keys, for dialling and for DTMF. */

const KEYS: readonly (readonly [key: string, letters: string, name: string])[] = [
  ["1", "", "1"],
  ["2", "ABC", "2"],
  ["3", "DEF", "3"],
  ["4", "GHI", "4"],
  ["5", "JKL", "5"],
  ["6", "MNO", "6"],
  ["7", "PQRS", "7"],
  ["8", "TUV", "8"],
  ["9", "WXYZ", "9"],
  ["*", "", "star"],
  ["0", "+", "0"],
  ["#", "", "hash"],
];

const FLASH_MS = 150;

/** Fill `container` with keys that report what is pressed. */
export function buildKeypad(container: HTMLElement, onKey: (key: string) => void): void {
  container.setAttribute("role", "group");
  container.setAttribute("aria-label", container.dataset["pad"] === "dtmf" ? "Send tones" : "Dial pad");
  for (const [key, letters, name] of KEYS) {
    const element = document.createElement("button");
    element.type = "button";
    element.dataset["key"] = key;
    element.setAttribute("aria-label", letters === "" ? name : `${name} ${letters}`);
    const digit = document.createElement("b");
    digit.textContent = key;
    const small = document.createElement("small");
    small.textContent = letters;
    element.append(digit, " ", small);
    element.addEventListener("click", () => onKey(key));
    container.append(element);
  }
}

/** Show that `key` was pressed on the keyboard. */
export function flashKey(container: HTMLElement, key: string): void {
  const pressed = container.querySelector(`[data-key="${CSS.escape(key)}"]`);
  pressed?.classList.add("pressed");
  setTimeout(() => pressed?.classList.remove("pressed"), FLASH_MS);
}
