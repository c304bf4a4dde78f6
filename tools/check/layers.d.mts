export declare const LAYERS: readonly string[];
export declare const LIGHT: readonly string[];
export declare const BROWSER: readonly string[];
