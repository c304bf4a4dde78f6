/** The alpha whose quotient by the rank is the scale, exactly where there is one. */
export function alphaFor(scale: number, rank: number): number {
  const product = scale * rank;
  // The product is rounded; a neighbour may divide back exactly. One unit in the last place is at most |product|·2⁻⁵².
  const unit = Math.abs(product) * 2 ** -52;
  return (
    [product, product + unit, product - unit, product + 2 * unit, product - 2 * unit].find((alpha) => alpha / rank === scale) ?? product
  );
}
