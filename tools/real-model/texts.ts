/** Mixed text for tokenizers: whatever a rule of splitting may stumble over. */
export const MIXED_TEXTS: readonly string[] = [
  "The quick brown fox jumps over the lazy dog.",
  "It's, I'LL, they're, DON'T, we've; 'tis 'S rock'n'roll O'Neill",
  "def fib(n: int) -> int:\n\treturn n if n < 2 else fib(n-1) + fib(n-2)  # O(2**n)\n",
  `for (let i = 0; i < xs.length; i++) { s += \`\${xs[i]}\` ?? "\\n"; }`,
  "SELECT * FROM t WHERE a<>1 AND b!=2;--x\r\n\r\n/* ok */",
  '{"a": [1, 2.50, -3e-7], "b": null, "ключ": "значение"}',
  "<div class='a b'>&nbsp;&amp;</div>\n\n\n<!-- x -->",
  "价格是１２３４元，比去年多了百分之五十。他说：“你好，世界！”",
  "日本語のテキスト、カタカナ・ひらがな。ｶﾀｶﾅ 한국어 문장입니다.",
  "Быстрая коричневая лиса. Η γρήγορη αλεπού. שועל חום مرحبا بالعالم नमस्ते दुनिया ภาษาไทย",
  "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 😀😃😄 ❤️ ♥︎ 🇩🇪🇯🇵 1️⃣",
  "0 1 12 123 1234 12345 123456789 3.14159 1,000,000 0x1F 1e-10 007",
  "½ ¼ ¾ 1½ ⅓ ⅞ x² y³ H₂O ① ⑳ Ⅷ ⅷ ٣٤٥ ९८७ 四十二 〇",
  "  two   three    four     leading and trailing   ",
  "\t\ttabs\t and \n newlines\n\n\n\n  indented\r\n\r\rold mac\f\vend ",
  "nbsp\u00a0thin\u2009ideographic\u3000zero\u200bwidth\u200d\u2060 line\u2028para\u2029nel\u0085 bom\ufeffhere",
  "e\u0301 n\u0303 a\u030a o\u0308 vs é ñ å ö; ﬁ ﬂ Ǆ ẞ ß İ ı ſ K Å",
  "!!! ??? ... --- === ### $$$ %%% ^^^ &&& *** ((([[[{{{<<<>>>}}}]]])))",
  "€ £ ¥ ₿ © ® ™ § ¶ † ‡ • … ‰ « » „ “ ” ‚ ‘ ’ — – − × ÷ ± ≤ ≥ ≠ ∞ ∑ √",
  "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\dir\\file.txt ~/x-y_z.tar.gz",
  "ALLCAPS camelCase PascalCase snake_case kebab-case SCREAMING_SNAKE x1y2z3 a1b2",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "                                                                ",
  "\n\n\n\n\n\n\n\n\n\n",
  "x\u0000y\u0001z\u007f\u001b[31m \u0080\u009f",
  "𝓗𝓮𝓵𝓵𝓸 𝟙𝟚𝟛 𠮷野家 🄰 \u{10ffff} \u{e000}",
  "",
  " ",
  "a",
  "\n",
];

/** Characters that random texts are made of: several of each kind that a pattern speaks of. */
const ALPHABET = [
  ...Array.from("abzABZ éßçŁжЖαΩ 中文日本あア한글 אב ءب नमส"),
  ...Array.from("0123456789½²³٣९Ⅷ①〇"),
  ...Array.from("   \t\n\r\u00a0\u3000\u2009\u0085\u200b\u2028"),
  ...Array.from("'’\"!?.,;:-_/\\()[]{}<>|@#$%^&*+=~`€£§©«»…—“”"),
  "\u0301",
  "\u0308",
  "\u0000",
  "\ufeff",
  "👍",
  "🏽",
  "\u200d",
  "❤️",
  "𝟙",
  "'s",
  "'LL",
  " the",
  "ing",
];

/** A text of random characters. @param next a whole number below its argument */
export function randomText(next: (below: number) => number): string {
  return Array.from({ length: next(40) }, () => ALPHABET[next(ALPHABET.length)] as string).join("");
}

/** Passages whose logits are compared: prose, a chat, code, numbers, other scripts. */
export const PASSAGES: readonly string[] = [
  "The lighthouse keeper climbed the spiral stairs every evening to light the lamp. From the top he could see the whole bay, the fishing boats coming home and, far away, the white line of the breakers on the reef.",
  "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nWhat is the capital of France, and what is it known for?<|im_end|>\n<|im_start|>assistant\nThe capital of France is Paris. It is known for the Eiffel Tower, the Louvre and its cafés.<|im_end|>\n",
  "def merge(a, b):\n    out = []\n    while a and b:\n        out.append(a.pop(0) if a[0] <= b[0] else b.pop(0))\n    return out + a + b\n\nprint(merge([1, 4, 9], [2, 3, 10]))",
  "In 1969, about 650 million people watched; 1½ cups of flour weigh 180 g, and 3.14159 × 2² is roughly 12.566.",
  "La mer était calme ce matin-là. 昨日は雨が降っていました。今日は晴れです。 Сегодня хорошая погода.",
];
