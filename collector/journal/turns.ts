/** Returns a gate that lets at most `most` pieces of work run at once; the others wait in the order they came. */
export function turns(most: number): <Result>(work: () => Promise<Result>) => Promise<Result> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // A turn is handed on, not given back and taken anew: nobody can slip in between.
      if (next === undefined) running--;
      else next();
    }
  };
}
