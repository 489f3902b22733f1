import type { MessageKind } from "../messages.ts";
import type { Severity } from "../rules.ts";

/** A message on its way. It may arrive twice, and its id tells so. */
export interface Delivery {
  /** A UUID, the same at every attempt and on every channel. */
  readonly id: string;
  readonly at: Date;
  readonly rule: string;
  readonly kind: MessageKind;
  readonly severity: Severity;
  readonly title: string;
  readonly body: string;
  /** How many alerts it tells of. */
  readonly count: number;
}

/** What sending needs of the world. */
export interface Sending {
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

/** A message was not taken. Its words may hold what the other side said; whoever stores them takes secrets out. */
export class NotDelivered extends Error {
  override readonly name = "NotDelivered";
  /** How long the other side asked to be left alone, in milliseconds; null: it did not say. */
  readonly retryAfterMs: number | null;

  constructor(message: string, retryAfterMs: number | null = null, options?: ErrorOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Returns the whole text of a message, cut to `most` characters. */
export function textOf({ title, body }: Delivery, most: number): string {
  const text = body === "" ? title : `${title}\n${body}`;
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
