/** A phone of alice on a wire in memory, and what its gateway says to REGISTER. */

import { configFromObject } from "../src/config.ts";
import { Phone, type ConnectOptions } from "../src/phone.ts";
import { responseTo, type Message, type Wire } from "./wire.ts";

export const CONFIG = configFromObject({ wssUrl: "wss://gw.example/sip", domain: "ims.example.com" });

type Options = Partial<Pick<ConnectOptions, "password" | "token" | "reconnect" | "expiresS">>;

export async function openPhone(wire: Wire, options: Options = { password: "secret" }): Promise<Phone> {
  const all = { config: CONFIG, user: "alice", ...options } as ConnectOptions;
  return Phone.open(CONFIG, all, { transportConstructor: wire.transportConstructor });
}

export async function registeredPhone(wire: Wire, options: Options = { password: "secret" }): Promise<Phone> {
  const phone = await openPhone(wire, options);
  const registered = phone.register();
  wire.deliver(granted(await wire.next()));
  await registered;
  return phone;
}

export function granted(register: Message, expiresS = 600): string {
  const contact = register.header("contact").split(";expires")[0];
  return responseTo(register, "200 OK", [`Contact: ${contact};expires=${expiresS}`]);
}

/** Let everything happen that waits for nothing but its turn. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Close a registered phone, politely. */
export async function close(phone: Phone, wire: Wire): Promise<void> {
  const closing = phone.close();
  wire.deliver(responseTo(await wire.next(), "200 OK"));
  await closing;
}
