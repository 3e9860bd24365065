/** The rule for passwords: in English as the server says it, which knows its own; else in our words. */
export const rulesFor = (told: string | undefined, language: string, ours: string) => (language.startsWith('en') && told ? told : ours);
