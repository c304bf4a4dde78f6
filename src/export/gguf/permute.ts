/**
 * Rows of q or k in llama.cpp's order: it rotates neighbours (2j, 2j+1) where transformers rotates the halves (j, j + d/2)
 * of a head. Row `h·d + 2j + i` there is row `h·d + i·d/2 + j` here.
 *
 * @param columns values in a row; 1 for a bias
 */
export function permuteRows(values: Float32Array, columns: number, headDim: number): Float32Array {
  const out = new Float32Array(values.length);
  const half = headDim / 2;
  const rows = values.length / columns;
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const from = row - inHead + (inHead % 2) * half + (inHead >> 1);
    out.set(values.subarray(from * columns, (from + 1) * columns), row * columns);
  }
  return out;
}
