/** A number that Python holds as a float, whatever its value: 1 here is `1.0` there. */
export class PythonFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** Marks a number as a Python float; see {@link PythonFloat}. */
export function pyFloat(value: number): PythonFloat {
  return new PythonFloat(value);
}
