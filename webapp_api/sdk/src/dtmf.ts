/** DTMF in SIP INFO, application/dtmf-relay. Digits are secrets (PINs): never log them. */

import { UsageError } from "./errors.ts";

export const DTMF_CONTENT_TYPE = "application/dtmf-relay";

/** Tone length that IVRs recognise for sure, milliseconds. */
export const DTMF_DURATION_MS = 160;

/** Between two tones, milliseconds. */
export const DTMF_GAP_MS = 100;

/** How long each tone is, and the silence behind it; by SIP INFO the gateway leaves 100 ms. */
export interface DtmfOptions {
  readonly durationMs?: number;
  readonly gapMs?: number;
  /** The way: SIP INFO, or telephone-events where both sides agreed on them. Without: as the configuration says. */
  readonly by?: "info" | "rtp";
}

/** Browsers leave this much between two telephone-events at least, milliseconds. */
const LEAST_RTP_GAP_MS = 30;

/** How long to wait for the media path of a call just answered, and for its first packets; milliseconds. */
const UP_WITHIN_MS = 3000;
const FIRST_PACKETS_MS = 100;

const DURATION_RANGE_MS = { least: 40, most: 6000 } as const;

/** The signals of `tones`, one by one, upper case; UsageError when one is not a DTMF signal. */
export function signalsFromText(tones: string): string[] {
  const signals = [...tones.toUpperCase()];
  if (signals.length === 0) throw new UsageError("no DTMF signal given");
  if (!signals.every((signal) => /^[0-9A-D*#]$/.test(signal))) {
    throw new UsageError("DTMF signals are 0-9, A-D, * and #");
  }
  return signals;
}

/** The INFO body for one signal; the duration is milliseconds. */
export function dtmfRelayToText(signal: string, durationMs: number = DTMF_DURATION_MS): string {
  if (!Number.isInteger(durationMs) || durationMs < DURATION_RANGE_MS.least || durationMs > DURATION_RANGE_MS.most) {
    throw new UsageError(`DTMF duration must be ${DURATION_RANGE_MS.least} to ${DURATION_RANGE_MS.most} ms`);
  }
  return `Signal=${signal}\r\nDuration=${durationMs}\r\n`;
}

/** A key that the far side pressed. */
export interface DtmfKey {
  readonly signal: string;
  readonly durationMs: number;
}

/** Asks for the far side's digits as INFO (RFC 6086). */
export const RECV_INFO_HEADER = "Recv-Info: infoDtmf";

/** The key in an INFO body; undefined when there is none. */
export function dtmfRelayFromText(body: string): DtmfKey | undefined {
  const signal = /^Signal\s*=\s*([0-9A-D*#])\s*$/im.exec(body)?.[1];
  const durationMs = Number(/^Duration\s*=\s*(\d{1,5})\s*$/im.exec(body)?.[1] ?? DTMF_DURATION_MS);
  return signal === undefined ? undefined : { signal: signal.toUpperCase(), durationMs };
}

/** The digits of one call, in the order in which they were asked for. */
export class Digits {
  /** The newest are sent, or failed. */
  #sent: Promise<unknown> = Promise.resolve();
  /** What was sent has been played, by the gateway, which answers an INFO before, or by this browser. */
  #played: Promise<unknown> = Promise.resolve();

  /**
   * Send tones as telephone-events (RFC 4733) of `connection` where they were agreed on, else one by one by `sendInfo`.
   * Resolves when the far end has heard them: a BYE would take the rest of them back.
   */
  async send(
    tones: string,
    { durationMs = DTMF_DURATION_MS, gapMs = DTMF_GAP_MS }: DtmfOptions,
    connection: RTCPeerConnection | undefined,
    sendInfo: (body: string) => Promise<void>,
  ): Promise<void> {
    const signals = signalsFromText(tones);
    const bodies = signals.map((signal) => dtmfRelayToText(signal, durationMs));
    const sent = this.#sent.then(async () => {
      const sender = connection?.getSenders().find(({ dtmf }) => dtmf?.canInsertDTMF)?.dtmf;
      if (sender) {
        sender.insertDTMF(sender.toneBuffer + signals.join(""), durationMs, gapMs);
        const eachMs = durationMs + Math.max(gapMs, LEAST_RTP_GAP_MS);
        // Not by its toneBuffer: the tone that is playing is no longer there.
        return { played: (this.#played = this.#played.then(() => passed(signals.length * eachMs))) };
      }
      for (const body of bodies) {
        await sendInfo(body);
        this.#played = this.#played.then(() => passed(durationMs + DTMF_GAP_MS));
      }
      return { played: this.#played };
    });
    this.#sent = sent.catch(() => undefined);
    await (await sent).played;
  }
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Wait until the gateway hears this side: before the first packet there is nothing to put a tone into. */
export async function untilHeard(connection: RTCPeerConnection | undefined): Promise<void> {
  const isComingUp = (): boolean => ["new", "connecting"].includes(connection?.connectionState ?? "");
  if (!isComingUp()) return;
  await new Promise<void>((resolve) => {
    const latest = setTimeout(resolve, UP_WITHIN_MS);
    connection?.addEventListener("connectionstatechange", () => {
      if (isComingUp()) return;
      clearTimeout(latest);
      setTimeout(resolve, FIRST_PACKETS_MS);
    });
  });
}
