/** The lists of microphones, loudspeakers for voice and ringing, and cameras. Knows the page's lists; what a choice leads to is told on. */

import { canChooseLoudspeaker, canChooseRinger, chooseDevice, chosenDevice, DEVICE_KINDS, devicesOf, type DeviceKind } from "./devices.ts";
import { element } from "./dom.ts";

const PICKERS: Readonly<Record<DeviceKind, HTMLSelectElement>> = {
  audioinput: element("microphone", HTMLSelectElement),
  audiooutput: element("loudspeaker", HTMLSelectElement),
  ringoutput: element("ringer", HTMLSelectElement),
  videoinput: element("camera", HTMLSelectElement),
};
const card = element("devices", HTMLDetailsElement);

/** Wire the lists once; `onChosen` hears what the person has chosen. */
export function initDevicePickers(onChosen: (kind: DeviceKind) => void): void {
  element("loudspeaker-field", HTMLElement).hidden = !canChooseLoudspeaker();
  element("ringer-field", HTMLElement).hidden = !canChooseRinger();
  for (const kind of DEVICE_KINDS) {
    PICKERS[kind].addEventListener("change", () => {
      chooseDevice(kind, PICKERS[kind].value);
      onChosen(kind);
    });
  }
  navigator.mediaDevices?.addEventListener("devicechange", () => void showDevices());
  card.addEventListener("toggle", () => void showDevices());
  void showDevices();
}

/** Show what there is now: after something was plugged in, or after the person has let the page see it. */
export async function showDevices(): Promise<void> {
  for (const kind of DEVICE_KINDS) {
    const devices = await devicesOf(kind);
    const chosen = chosenDevice(kind);
    PICKERS[kind].replaceChildren(...devices.map(({ id, label }) => new Option(label, id, false, id === chosen)));
  }
}
