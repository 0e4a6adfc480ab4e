/** DTMF in SIP INFO, application/dtmf-relay. Digits are secrets (PINs): never log them. */

export const DTMF_CONTENT_TYPE = "application/dtmf-relay";

/** Tone length that IVRs recognise for sure, milliseconds. */
export const DTMF_DURATION_MS = 160;

const DURATION_RANGE_MS = { least: 40, most: 6000 } as const;

/** The signals of `tones`, one by one, upper case; RangeError when one is not a DTMF signal. */
export function signalsFromText(tones: string): string[] {
  const signals = [...tones.toUpperCase()];
  if (signals.length === 0) throw new RangeError("no DTMF signal given");
  if (!signals.every((signal) => /^[0-9A-D*#]$/.test(signal))) {
    throw new RangeError("DTMF signals are 0-9, A-D, * and #");
  }
  return signals;
}

/** The INFO body for one signal; the duration is milliseconds. */
export function dtmfRelayToText(signal: string, durationMs: number = DTMF_DURATION_MS): string {
  if (!Number.isInteger(durationMs) || durationMs < DURATION_RANGE_MS.least || durationMs > DURATION_RANGE_MS.most) {
    throw new RangeError(`DTMF duration must be ${DURATION_RANGE_MS.least} to ${DURATION_RANGE_MS.most} ms`);
  }
  return `Signal=${signal}\r\nDuration=${durationMs}\r\n`;
}
