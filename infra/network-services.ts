/** Networks that have a service of their own beside the nodes, each with the type of the resource that runs it. */
export const networkServices: Readonly<Record<string, string>> = {
  practice: "gradientlab:index:PracticeNetwork",
};
