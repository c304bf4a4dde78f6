// recipe: what another tool needs to go on with an adapter as what it is, and a guard for it.
// Writes text from files' headers and records; runs nothing, and knows no tool but by its source.
export { type RecipeRequest, writeRecipe } from "./recipe.ts";
export { RECIPE_TOOLS, type RecipeFile, type RecipeResult, type RecipeTool } from "./types.ts";
