/** An answer as the network is documented to give it: the call that it answers, and the body byte for byte. */
export interface Fixture {
  readonly call: string;
  readonly body: string;
}
