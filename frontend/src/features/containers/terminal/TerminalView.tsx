import { App, Button, Checkbox, Empty, Flex, Tabs } from 'antd';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMutation } from 'urql';
import { problemIn } from '@/lib/errors';
import { closeTerminalDocument, type Detail } from '../documents';
import { freeName } from './link';
import { Screen } from './Screen';
import './terminal.css';

type Props = { container: Pick<Detail, 'id' | 'name' | 'status' | 'terminals'>; start: React.ReactNode };

/** The browser keeps whether somebody reads screens by ear. */
const readerKey = 'terminal.screenReader';

/** The terminals of a container, each behind a tab: those that are open in it, and those that were begun here. */
export default function TerminalView({ container: { id, name, status, terminals }, start }: Props) {
  const { t } = useTranslation();
  const { message, modal } = App.useApp();
  const there = terminals.map((terminal) => terminal.name);
  // Where none is open, one is begun: that is what the tab was opened for.
  const [begun, setBegun] = useState<string[]>(() => (there.length > 0 ? [] : ['main']));
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [chosen, setChosen] = useState<string>();
  /** A terminal is connected to when it is first looked at. */
  const [seen, setSeen] = useState<ReadonlySet<string>>(new Set());
  const [screenReader, setScreenReader] = useState(() => localStorage.getItem(readerKey) === 'true');
  const [{ fetching: closing }, close] = useMutation(closeTerminalDocument);
  const after = useRef<HTMLParagraphElement>(null);
  // One that ended by itself stays on the screen: its last words, and why.
  const names = [...new Set([...there, ...begun, ...seen])].filter((one) => !closed.has(one) || there.includes(one));
  const active = chosen !== undefined && names.includes(chosen) ? chosen : names[0];
  const mounted = new Set([...seen, ...(active === undefined ? [] : [active])]);
  const show = (one: string) => {
    setSeen((before) => new Set([...before, one, ...(active === undefined ? [] : [active])]));
    setChosen(one);
  };
  const open = () => {
    const one = freeName(names);
    setClosed((before) => new Set([...before].filter((other) => other !== one)));
    setBegun((before) => [...before, one]);
    show(one);
  };
  const forget = (one: string) => {
    setBegun((before) => before.filter((other) => other !== one));
    setSeen((before) => new Set([...before].filter((other) => other !== one)));
    setClosed((before) => new Set([...before, one]));
    setChosen(undefined);
  };
  const confirmClosing = (one: string) => {
    modal.confirm({
      title: t('terminal.closeTitle', { name: one }),
      content: t('terminal.closeText'),
      okText: t('terminal.close'),
      okButtonProps: { danger: true },
      cancelText: t('app.cancel'),
      onOk: async () => {
        const { error } = await close({ id, name: one });
        const problem = error && problemIn(error);
        // What has ended already is what was wanted.
        if (problem && problem.code !== 'NOT_FOUND') void message.error(problem.message, 6);
        else forget(one);
      },
    });
  };
  return (
    <>
      <button
        type="button"
        className="skip"
        onClick={() => {
          after.current?.focus();
        }}
      >
        {t('terminal.skip')}
      </button>
      <Flex gap="small" wrap align="center" justify="space-between">
        <Tabs
          type="card"
          size="small"
          {...(active !== undefined && { activeKey: active })}
          items={names.map((one) => ({ key: one, label: one }))}
          onChange={show}
          tabBarStyle={{ margin: 0 }}
          styles={{ content: { display: 'none' } }}
        />
        <Flex gap="small" wrap align="center">
          <Button size="small" onClick={open}>
            {t('terminal.new')}
          </Button>
          {active !== undefined && (
            <Button
              size="small"
              danger
              loading={closing}
              onClick={() => {
                confirmClosing(active);
              }}
            >
              {t('terminal.close')}
            </Button>
          )}
          <Checkbox
            checked={screenReader}
            onChange={({ target }) => {
              localStorage.setItem(readerKey, String(target.checked));
              setScreenReader(target.checked);
            }}
          >
            {t('terminal.screenReader')}
          </Checkbox>
        </Flex>
      </Flex>
      {names.length === 0 && (
        <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('terminal.none')}>
          <Button type="primary" onClick={open}>
            {t('terminal.new')}
          </Button>
        </Empty>
      )}
      {names
        .filter((one) => mounted.has(one))
        .map((one) => (
          <Screen
            key={one}
            id={id}
            name={one}
            label={t('terminal.screen', { terminal: one, name })}
            visible={one === active}
            screenReader={screenReader}
            running={status === 'RUNNING'}
            exit={() => after.current?.focus()}
            start={start}
          />
        ))}
      {/* Where the keyboard comes to from a terminal, which takes the Tab key for itself. */}
      <p ref={after} tabIndex={-1} className="soft">
        {t('terminal.hint')}
      </p>
    </>
  );
}
