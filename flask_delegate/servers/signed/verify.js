// Verifies signed URLs and the cookies that open folders. Made by 'flask delegate nginx-config', for
// njs 0.7.7 and newer. It holds no key: the location that calls it has them. It refuses what it does
// not understand; each regular expression comes from the module that signs.
import crypto from 'crypto';

const QUERY = new RegExp(@QUERY@);
const BROWSER = new RegExp(@BROWSER@);
const FOLDERS = @FOLDERS@.map((pattern) => new RegExp(pattern));
const KINDS = @KINDS@;
const UNKNOWN = @UNKNOWN@;
const DOTS = new RegExp('/[.][.]?(?:/|$)');
const SLASH = 47;

// Runs once for each request: nginx keeps what js_set returned. Another pass through a location, as
// for an error page or X-Accel-Redirect, is not verified by it, and so refused.
function verify(r) {
    const keys = r.variables.flask_delegate_keys.split(' ');
    r.variables.flask_delegate_keys = '';
    if (r.method != 'GET' && r.method != 'HEAD') {
        return '';
    }
    const asked = {
        keys: keys,
        path: r.rawVariables.uri,
        text: r.variables.uri,
        start: r.variables.flask_delegate_prefix.length,
        cookies: `;${r.variables.http_cookie || ''};`,
        now: Math.floor(Date.now() / 1000),
    };
    const query = r.variables.args;
    const told = query ? by_url(asked, query) : by_folder(asked);
    if (told) {
        r.variables.flask_delegate_type = told.type;
        r.variables.flask_delegate_disposition = told.disposition;
        r.variables.flask_delegate_cache = told.cache;
        r.variables.flask_delegate_policy = told.policy;
        r.variables.flask_delegate_rate = told.rate;
        r.variables.flask_delegate_verified = 'yes';
    }
    return '';
}

function by_url(asked, query) {
    const found = QUERY.exec(query);
    if (!found || Number(found[2]) <= asked.now) {
        return null;
    }
    let signed = found[1];
    if (found[3]) {
        const browser = BROWSER.exec(asked.cookies);
        if (!browser) {
            return null;
        }
        signed += ` ${browser[1]}`;
    }
    if (!is_signed(asked, `${signed} `, asked.path, found[9])) {
        return null;
    }
    return {
        type: decoded(found[4]),
        disposition: decoded(found[5]),
        cache: found[6] ? `private, max-age=${found[6]}` : 'private, no-cache',
        policy: decoded(found[7]),
        rate: found[8] ? `${found[8]}k` : '0',
    };
}

function by_folder(asked) {
    const browser = BROWSER.exec(asked.cookies);
    if (!browser || DOTS.test(asked.text) || !is_opened(asked, browser[1])) {
        return null;
    }
    const ending = /[.]([A-Za-z0-9]+)$/.exec(asked.text);
    const kind = (ending && KINDS[`.${ending[1].toLowerCase()}`]) || UNKNOWN;
    return {
        type: kind[0],
        disposition: kind[1],
        cache: 'private, no-cache',
        policy: kind[2],
        rate: '0',
    };
}

function is_opened(asked, browser) {
    let depth = 0;
    for (let end = asked.start; end < asked.path.length && depth < FOLDERS.length; end++) {
        if (asked.path[end] != SLASH) {
            continue;
        }
        const cookie = FOLDERS[depth++].exec(asked.cookies);
        if (cookie && Number(cookie[1]) > asked.now) {
            const folder = asked.path.slice(0, end + 1);
            if (is_signed(asked, `folder ${cookie[1]} ${browser} `, folder, cookie[2])) {
                return true;
            }
        }
    }
    return false;
}

function is_signed(asked, text, path, given) {
    let valid = false;
    for (let number = 0; number < asked.keys.length; number++) {
        const mac = crypto.createHmac('sha256', asked.keys[number]);
        valid = is_same(mac.update(text).update(path).digest('hex'), given) || valid;
    }
    return valid;
}

// The time that it takes says nothing of where two hashes differ.
function is_same(one, other) {
    let differing = one.length ^ other.length;
    for (let index = 0; index < one.length; index++) {
        differing |= one.charCodeAt(index) ^ other.charCodeAt(index);
    }
    return differing === 0;
}

function decoded(value) {
    return value ? decodeURIComponent(value) : '';
}

// nginx would tell the type by its own table.
function describe(r) {
    if (r.variables.flask_delegate_verified == 'yes' && r.status == 200) {
        r.headersOut['Content-Type'] = r.variables.flask_delegate_type;
    }
}

export default { verify, describe };
