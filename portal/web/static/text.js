/** What scripts say, in the language of the page. The texts of others lie beside: see portal/core/language.py. */

const language = document.documentElement.lang;
const forms = new Intl.PluralRules(language);
const texts = await others();

async function others() {
  if (language === "en") return {};
  try {
    return (await import(`./languages/${language}.js`)).default;
  } catch {
    return {}; // rather English than nothing
  }
}

/** @param {object} values what stands for `%(name)s` */
export function gettext(text, values = {}) {
  return fill(texts[text] ?? text, values);
}

/** @param {number} num of things, which `%(num)s` stands for */
export function ngettext(singular, plural, num, values = {}) {
  const said = texts[singular] ?? [singular, plural];
  return fill(said[forms.select(num) === "one" ? 0 : 1], { num: number(num), ...values });
}

export function number(value, options = {}) {
  return value.toLocaleString(language, options);
}

/** The reader's own form of the page's language, such as British English, or that language. */
export const locale = navigator.languages.find((one) => one.split("-")[0] === language.split("-")[0]) ?? language;

function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (all, name) => values[name] ?? all);
}
