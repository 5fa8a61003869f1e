/** A value that is made from another one, as settings, and made anew when it is called with others. */
export const madeOf = <From, Made>(make: (from: From) => Made): ((from: From) => Made) => {
  let last: { from: From; made: Made } | undefined;
  return (from) => {
    if (last?.from !== from) last = { from, made: make(from) };
    return last.made;
  };
};
