// Verifies signed URLs and the cookies that open folders. Made by 'flask delegate nginx-config', for
// njs 0.7.7 and newer. It holds no key: the location that calls it has them. It refuses what it does
// not understand; each regular expression comes from the module that signs.
//
// njs runs a module's top level for each request, but compiles literals once: values stand where
// they are used.
import crypto from 'crypto';

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
        r.variables.flask_delegate_digest = told.digest;
        if (told.rate) {
            r.variables.limit_rate = told.rate;
        }
        r.variables.flask_delegate_verified = 'yes';
    }
    return '';
}

function by_url(asked, query) {
    const found = /@QUERY@/.exec(query);
    if (!found || Number(found[2]) <= asked.now) {
        return null;
    }
    let signed = found[1];
    if (found[3]) {
        const browser = browser_of(asked);
        if (!browser) {
            return null;
        }
        signed += ` ${browser}`;
    }
    if (!is_signed(asked, `${signed} `, asked.path, found[10])) {
        return null;
    }
    return {
        type: decoded(found[4]),
        disposition: decoded(found[5]),
        cache: found[6] ? `private, max-age=${found[6]}` : 'private, no-cache',
        policy: decoded(found[7]),
        rate: found[8] ? `${found[8]}k` : '',
        digest: decoded(found[9]),
    };
}

function by_folder(asked) {
    const browser = browser_of(asked);
    if (!browser || /\/[.][.]?(?:\/|$)/.test(asked.text) || !is_opened(asked, browser)) {
        return null;
    }
    const ending = /[.]([A-Za-z0-9]+)$/.exec(asked.text);
    const kind = kind_of(ending ? ending[1].toLowerCase() : '');
    return {
        type: kind[0],
        disposition: kind[1],
        cache: 'private, no-cache',
        policy: kind[2],
        rate: '',
        digest: '',
    };
}

function browser_of(asked) {
    const found = /@BROWSER@/.exec(asked.cookies);
    return found ? found[1] : '';
}

function is_opened(asked, browser) {
    const cookies = /@FOLDER@/g;
    let ends = null, cookie;
    while ((cookie = cookies.exec(asked.cookies)) !== null) {
        // Once, as a client may send a hundred cookies, and a path of 8 KiB.
        ends = ends || ends_of_folders(asked);
        const end = ends[Number(cookie[1]) - 1];
        const text = `folder ${cookie[2]} ${browser} `;
        if (end && Number(cookie[2]) > asked.now
            && is_signed(asked, text, asked.path.slice(0, end), cookie[3])) {
            return true;
        }
    }
    return false;
}

// Where the path of each folder ends that the path leads through, from the first below the prefix.
function ends_of_folders(asked) {
    const ends = [];
    for (let end = asked.start; end < asked.path.length && ends.length < @DEEPEST@; end++) {
        if (asked.path[end] == 47) {
            ends.push(end + 1);
        }
    }
    return ends;
}

function kind_of(extension) {
    switch (extension) {
@KINDS@
        default: return @UNKNOWN@;
    }
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
