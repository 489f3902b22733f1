import type { ReactNode } from "react";
import type { Tone } from "./tone.ts";

// One shape for each tone, told apart without any colour.
const shapes: Readonly<Record<Tone, ReactNode>> = {
  good: (
    <>
      <circle cx="8" cy="8" r="7" className="mark-fill" />
      <path d="M4.8 8.3l2.2 2.2 4.2-4.6" className="mark-sign" />
    </>
  ),
  warn: (
    <>
      <path d="M8 1.2l7 12.6a.6.6 0 0 1-.5.9h-13a.6.6 0 0 1-.5-.9z" className="mark-fill" />
      <path d="M8 5.8v4M8 12.2v.1" className="mark-sign" />
    </>
  ),
  bad: (
    <>
      <path d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z" className="mark-fill" />
      <path d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" className="mark-sign" />
    </>
  ),
  noted: (
    <>
      <path d="M8 .6L15.4 8 8 15.4.6 8z" className="mark-fill" />
      <path d="M4.9 8h6.2" className="mark-sign" />
    </>
  ),
  unknown: (
    <>
      <circle cx="8" cy="8" r="6.4" className="mark-line" strokeDasharray="2.6 1.9" />
      <path d="M6.2 6.4a1.8 1.8 0 1 1 2.5 1.7c-.5.2-.7.5-.7 1M8 11.4v.1" className="mark-line" />
    </>
  ),
  off: (
    <>
      <circle cx="8" cy="8" r="6.4" className="mark-line" />
      <path d="M6.4 5.6v4.8M9.6 5.6v4.8" className="mark-line" />
    </>
  ),
  none: <path d="M3.5 8h9" className="mark-line" />,
};

/** The shape that stands beside a value and says its tone. It is a picture only: the text beside it says the same. */
export function Mark({ tone }: { readonly tone: Tone }) {
  return (
    <svg className={`mark tone-${tone}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {shapes[tone]}
    </svg>
  );
}
