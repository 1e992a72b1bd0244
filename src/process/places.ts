/** So many at once and no more. */

export type Places = {
  /** Takes a place if one is free. */
  take(): boolean;
  /** Gives one back that was taken. */
  give(): void;
};

/** `onChange` is told after each change how many are free. */
export function createPlaces(most: number, onChange: (free: number) => void = () => {}): Places {
  let taken = 0;
  return {
    take() {
      if (taken >= most) return false;
      taken++;
      onChange(most - taken);
      return true;
    },
    give() {
      taken--;
      onChange(most - taken);
    },
  };
}
