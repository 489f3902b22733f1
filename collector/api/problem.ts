import type { ProblemDetails } from "./types.ts";

/** A request that is not answered as asked: becomes problem details (RFC 9457). */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly status: number;
  readonly code: string;
  readonly fix: string;

  constructor(status: number, code: string, message: string, fix: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.fix = fix;
  }
}

const titles: Readonly<Record<number, string>> = {
  400: "Bad request",
  404: "Not found",
  405: "Method not allowed",
  410: "Gone from the archives",
  421: "Misdirected request",
  500: "Internal error",
  503: "Not ready",
};

/** Returns the body of a problem's answer. */
export function problemDetails(problem: Pick<ApiProblem, "status" | "code" | "message" | "fix">): ProblemDetails {
  const { status, code, message, fix } = problem;
  return { type: `about:blank#${code}`, title: titles[status] ?? "Problem", status, detail: message, code, fix };
}

/** Returns the problem of a thing that there is not. */
export function notFound(what: string): ApiProblem {
  return new ApiProblem(404, "not-found", `There is no ${what}.`, "Look it up in the list it should stand in.");
}
