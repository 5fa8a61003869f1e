export const plants: Record<string, { breaks: string }> = {};
export const planted = (name: string): string => name;
