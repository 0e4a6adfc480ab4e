/** Which microphone, loudspeakers and camera the person has chosen. Remembered in this browser. */

import { readStored, writeStored } from "./stored.ts";

/** As browsers name kinds of devices, but that what rings may be another loudspeaker than what talks. */
export type DeviceKind = "audioinput" | "audiooutput" | "ringoutput" | "videoinput";

export const DEVICE_KINDS: readonly DeviceKind[] = ["audioinput", "audiooutput", "ringoutput", "videoinput"];

export interface Device {
  /** "" is what the system uses. */
  readonly id: string;
  readonly label: string;
}

const KEY = "softphone.devices";

const NAMES: Readonly<Record<DeviceKind, string>> = {
  audioinput: "Microphone",
  audiooutput: "Loudspeaker",
  ringoutput: "Loudspeaker",
  videoinput: "Camera",
};

/** What is plugged in, as far as the browser has told. */
const present = new Set<string>();
const chosen = new Map<DeviceKind, string>(remembered());

/** The chosen device; "" is what the system uses. */
export function chosenDevice(kind: DeviceKind): string {
  return chosen.get(kind) ?? "";
}

export function chooseDevice(kind: DeviceKind, id: string): void {
  if (id === "") chosen.delete(kind);
  else chosen.set(kind, id);
  writeStored(KEY, Object.fromEntries(chosen));
}

/** What a call asks the browser for; one that is not plugged in is no reason to fail. */
export function wishedDevice(kind: DeviceKind): MediaTrackConstraints | true {
  const id = chosenDevice(kind);
  if (id === "") return true;
  return { deviceId: present.has(id) ? { exact: id } : { ideal: id } };
}

/** What there is of `kind`, the system's choice first; without permission browsers tell no labels. */
export async function devicesOf(kind: DeviceKind): Promise<Device[]> {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  present.clear();
  for (const { deviceId } of all) present.add(deviceId);
  const plugged = kind === "ringoutput" ? "audiooutput" : kind;
  const real = all.filter((device) => device.kind === plugged && device.deviceId !== "" && device.deviceId !== "default");
  const list = real.map(({ deviceId, label }, index) => ({ id: deviceId, label: label || `${NAMES[kind]} ${index + 1}` }));
  return [{ id: "", label: "As the system has it" }, ...list];
}

/** Whether this browser can play to a device that is not the system's. */
export function canChooseLoudspeaker(): boolean {
  return "setSinkId" in HTMLMediaElement.prototype;
}

/** The same for the sounds of the page itself. */
export function canChooseRinger(): boolean {
  return "setSinkId" in AudioContext.prototype;
}

function remembered(): [DeviceKind, string][] {
  const stored = readStored(KEY);
  if (typeof stored !== "object" || stored === null) return [];
  return DEVICE_KINDS.flatMap((kind) => {
    const id: unknown = (stored as Record<string, unknown>)[kind];
    return typeof id === "string" ? [[kind, id]] : [];
  });
}
